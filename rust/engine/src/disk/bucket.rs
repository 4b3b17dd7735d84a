//! A disk whose files are the objects of a store elsewhere: a bucket.
//!
//! There are no folders, and nothing to sync: an object is durable when its writing was answered. A file that is staged for a name
//! leaves in parts while it is being written; one without a name stays in memory until it gets one. A lock says nothing here: writers
//! are never known to be dead, so nobody clears away after them, and merges that overlap are harmless.

mod scratch;
mod staging;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::io::{self, IoSliceMut};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use self::staging::BucketFile;
use super::{BlockCache, Bytes, Disk, Entry, File, Lock, Meta, Parked, Reach, Staged, Wanted};
use crate::format::Envelope;
use crate::format::envelope::MAX_NAME;
use crate::names::encoding;

/// Objects that are looked at to see whether a place is empty.
const GLIMPSE: usize = 100;

/// What carries objects: names and bytes. Every method blocks, and may be called from any thread.
///
/// A write whose answer was lost fails with another kind than `PermissionDenied` and `NotFound`: it may still have its effect.
pub trait Objects: Send + Sync + Debug {
    /// What to call it in messages.
    fn describe(&self) -> String;
    /// Read `len` bytes from `offset`, and tell the length of the whole object; `NotFound` when there is no such object,
    /// `UnexpectedEof` when it ends before.
    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<(Bytes, u64)>;
    /// Read bytes of several objects at the same time; an error of them all, or one outcome for each.
    fn read_many(&self, wanted: &[Wanted]) -> io::Result<Vec<io::Result<Bytes>>> {
        Ok(wanted.iter().map(|one| self.read(&one.path, one.offset, one.len).map(|(bytes, _)| bytes)).collect())
    }
    /// A small object at one moment; `None` when there is none.
    fn whole(&self, name: &str) -> io::Result<Option<(Vec<u8>, String)>>;
    /// Write an object, in place of what has its name.
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()>;
    /// Write an object if what has its name is of that version, nothing if there is none (`AlreadyExists` otherwise).
    fn put_if(&self, name: &str, bytes: &[u8], version: Option<&str>) -> io::Result<()>;
    /// An object that is to leave in parts.
    fn upload(&self, name: &str) -> io::Result<Box<dyn Upload>>;
    /// Remove an object; one that is gone is no error.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// The names that begin with a prefix, and how long each object is; at most so many.
    fn list(&self, prefix: &str, limit: usize) -> io::Result<Vec<(String, u64)>>;
    /// An object without its bytes.
    fn head(&self, name: &str) -> io::Result<Option<Meta>>;
    /// The store's clock, in milliseconds since 1970, as far as its last answer told.
    fn now_ms(&self) -> i64;
}

/// An object on its way, part by part. Dropped before it is finished it leaves nothing.
pub trait Upload: Send + Sync + Debug {
    /// Memory for a part of so many bytes; what stands in it says nothing.
    fn room(&self, len: usize) -> io::Result<Box<dyn Room>>;
    /// Wait until all is durable.
    fn finish(self: Box<Self>) -> io::Result<()>;
}

/// Memory of an upload, to be filled and sent.
pub trait Room: Send + Sync + Debug {
    /// All of it.
    fn bytes(&mut self) -> &mut [u8];
    /// Hand over its first `len` bytes as the next of the object; blocks while too much is on its way.
    fn send(self: Box<Self>, len: usize) -> io::Result<()>;
}

/// See the module.
#[derive(Debug)]
pub struct BucketDisk {
    objects: Arc<dyn Objects>,
    recent: Recent,
    cache: Option<Arc<BlockCache>>,
    /// A segment whose index takes no more bytes is read whole as it is opened.
    whole: u64,
}

/// Files that this process has just published: it opens its own segments next, and need not ask for what it has written.
type Recent = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

impl BucketDisk {
    /// A disk over objects; blocks of its index are kept in `cache`.
    #[must_use]
    pub fn new(objects: Arc<dyn Objects>, cache: Option<Arc<BlockCache>>) -> Self {
        Self { objects, recent: Recent::default(), cache, whole: 512 * 1024 }
    }

    /// Read no segment whole that takes more bytes: tests let small stores be read as large ones are.
    #[must_use]
    pub fn with_whole(mut self, bytes: u64) -> Self {
        self.whole = bytes;
        self
    }

    fn recent(&self) -> MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether an object stands for a document that was deleted. Its length tells, if its name is told by its path.
    fn is_tombstone(&self, path: &str, len: u64) -> io::Result<bool> {
        let Some(encoded) = path.strip_prefix("documents/").and_then(|path| path.strip_suffix('+')) else {
            return Ok(false);
        };
        if let Some(name) = encoding::decode(encoded) {
            return Ok(len == Envelope::tombstone_len(&name));
        }
        if len > Envelope::tombstone_len("").saturating_add(MAX_NAME as u64) {
            return Ok(false);
        }
        let found = self.objects.whole(path)?;
        Ok(found.is_some_and(|(bytes, _)| Envelope::decode(&bytes).is_ok_and(|envelope| envelope.is_tombstone())))
    }

    fn new_file(&self, name: Option<&str>) -> Box<dyn Staged> {
        Box::new(BucketFile::new(Arc::clone(&self.objects), Arc::clone(&self.recent), name))
    }
}

impl Disk for BucketDisk {
    fn describe(&self) -> String {
        self.objects.describe()
    }

    fn now_ms(&self) -> i64 {
        self.objects.now_ms()
    }

    fn create_dir(&self, _path: &str) -> io::Result<bool> {
        Ok(true)
    }

    fn visit(&self, dir: &str, see: &mut dyn FnMut(&str, bool) -> bool) -> io::Result<()> {
        if dir == "writers" {
            return Ok(());
        }
        let prefix = if dir.is_empty() { String::new() } else { format!("{dir}/") };
        let limit = if dir.is_empty() { GLIMPSE } else { usize::MAX };
        let mut folders = BTreeSet::new();
        for (name, len) in self.objects.list(&prefix, limit)? {
            let Some(rest) = name.strip_prefix(&prefix) else { continue };
            if self.is_tombstone(&name, len)? {
                continue;
            }
            let goes_on = match rest.split_once('/') {
                None => see(rest, false),
                Some((folder, _)) if folders.insert(folder.to_owned()) => see(folder, true),
                Some(_) => true,
            };
            if !goes_on {
                break;
            }
        }
        Ok(())
    }

    /// One list where all of them stand in one folder: it is in ascending order, as theirs is.
    fn list_in_order(&self, dirs: &[String]) -> io::Result<Vec<Vec<Entry>>> {
        let parent = dirs.first().and_then(|dir| dir.rsplit_once('/')).map_or("", |(parent, _)| parent);
        let in_it = |dir: &String| dir.rsplit_once('/').is_some_and(|(its, _)| its == parent);
        if parent.is_empty() || !dirs.iter().all(in_it) || !dirs.is_sorted() {
            return dirs.iter().map(|dir| self.list(dir)).collect();
        }
        let mut listed = vec![Vec::new(); dirs.len()];
        for (name, _) in self.objects.list(&format!("{parent}/"), usize::MAX)? {
            let Some((dir, name)) = name.rsplit_once('/') else { continue };
            if let Ok(at) = dirs.binary_search_by(|other| other.as_str().cmp(dir))
                && let Some(entries) = listed.get_mut(at)
            {
                entries.push(Entry { name: name.to_owned(), is_dir: false });
            }
        }
        Ok(listed)
    }

    fn lengths(&self, prefix: &str, limit: usize) -> io::Result<Option<Vec<(String, u64)>>> {
        self.objects.list(prefix, limit).map(Some)
    }

    fn reach(&self) -> Reach {
        // 8 MiB of blobs, and the frames' headers.
        Reach { bytes: 9 * 1024 * 1024, gap: 256 * 1024, whole: self.whole, frames: usize::MAX, far: true }
    }

    fn cache(&self) -> Option<Arc<BlockCache>> {
        self.cache.clone()
    }

    fn read_many(&self, wanted: &[Wanted]) -> io::Result<Vec<io::Result<Bytes>>> {
        self.objects.read_many(wanted)
    }

    fn stat(&self, path: &str) -> io::Result<Option<Meta>> {
        self.objects.head(path)
    }

    fn open(&self, path: &str) -> io::Result<Option<Arc<dyn File>>> {
        if !(path.starts_with("packs/") || path.starts_with("index/")) {
            // What can be replaced is read at once: length, version and bytes are of the same moment.
            let found = self.objects.whole(path)?;
            return Ok(found.map(|(bytes, version)| Arc::new(Moment { bytes, version }) as Arc<dyn File>));
        }
        match self.objects.head(path)? {
            Some(meta) => Ok(Some(Arc::new(Object::new(&self.objects, path, Some(meta.len), None)))),
            None => Ok(None),
        }
    }

    fn open_named(&self, path: &str, len: Option<u64>) -> io::Result<Option<Arc<dyn File>>> {
        let written = self.recent().remove(path).filter(|bytes| len == Some(bytes.len() as u64));
        Ok(Some(Arc::new(Object::new(&self.objects, path, len, written))))
    }

    fn stage(&self) -> io::Result<Box<dyn Staged>> {
        Ok(self.new_file(None))
    }

    fn stage_for(&self, path: &str) -> io::Result<Box<dyn Staged>> {
        Ok(self.new_file(Some(path)))
    }

    fn scratch(&self) -> io::Result<Box<dyn Staged>> {
        Ok(Box::new(scratch::Scratch::new()?))
    }

    fn reads_back(&self) -> bool {
        false
    }

    fn park(&self, bytes: &[u8]) -> io::Result<Box<dyn Parked>> {
        Ok(Box::new(Waiting { objects: Arc::clone(&self.objects), bytes: bytes.to_vec() }))
    }

    fn remove(&self, path: &str) -> io::Result<bool> {
        if !path.starts_with("writers/") {
            self.recent().remove(path);
            self.objects.remove(path)?;
        }
        Ok(true)
    }

    fn sync_dir(&self, _dir: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_all(&self) -> io::Result<()> {
        Ok(())
    }

    fn try_lock(&self, _path: &str, _create: bool) -> io::Result<Option<Box<dyn Lock>>> {
        Ok(Some(Box::new(NoLock)))
    }
}

/// A small file that waits for its name.
#[derive(Debug)]
struct Waiting {
    objects: Arc<dyn Objects>,
    bytes: Vec<u8>,
}

impl Parked for Waiting {
    fn replace(&mut self, path: &str) -> io::Result<()> {
        self.objects.put(path, &self.bytes)
    }

    fn swap(&mut self, path: &str, version: Option<&str>) -> io::Result<()> {
        self.objects.put_if(path, &self.bytes, version)
    }
}

#[derive(Debug)]
struct NoLock;

impl Lock for NoLock {}

/// An object that is never replaced.
#[derive(Debug)]
struct Object {
    objects: Arc<dyn Objects>,
    name: String,
    /// The length that it must have, where that is known before.
    expected: Option<u64>,
    /// The length that was told.
    told: OnceLock<u64>,
    /// All its bytes, for the first who asks.
    written: Mutex<Option<Vec<u8>>>,
}

impl Object {
    fn new(objects: &Arc<dyn Objects>, name: &str, expected: Option<u64>, written: Option<Vec<u8>>) -> Self {
        let objects = Arc::clone(objects);
        Self { objects, name: name.to_owned(), expected, told: OnceLock::new(), written: Mutex::new(written) }
    }

    /// As many of these bytes as there are. An object of another length than it must have has none.
    fn fetch(&self, offset: u64, wanted: usize) -> io::Result<Bytes> {
        let count = match self.expected.or_else(|| self.told.get().copied()) {
            Some(len) => wanted.min(usize::try_from(len.saturating_sub(offset)).unwrap_or(usize::MAX)),
            None => wanted,
        };
        if count == 0 {
            return Ok(Box::new([]));
        }
        match self.objects.read(&self.name, offset, count) {
            Ok((_, len)) if self.expected.is_some_and(|expected| expected != len) => Ok(Box::new([])),
            Ok((bytes, len)) => {
                let _ = self.told.set(len);
                Ok(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.expected.is_some() => Ok(Box::new([])),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof && self.told.get().is_none() => {
                self.len()?;
                self.fetch(offset, wanted)
            }
            Err(error) => Err(error),
        }
    }

    /// All its bytes from there on, if this process has them still: only once.
    fn take_written(&self, offset: u64) -> Option<Vec<u8>> {
        let mut written = self.written.lock().unwrap_or_else(PoisonError::into_inner).take()?;
        written.drain(..usize::try_from(offset).unwrap_or(usize::MAX).min(written.len()));
        Some(written)
    }
}

/// A small file as it was at one moment.
#[derive(Debug)]
struct Moment {
    bytes: Vec<u8>,
    version: String,
}

impl File for Moment {
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let at = usize::try_from(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        Ok(scatter(self.bytes.get(at..).unwrap_or_default(), buffers))
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.bytes.len() as u64)
    }

    fn sync(&self) -> io::Result<()> {
        Ok(())
    }

    fn version(&self) -> Option<&str> {
        Some(&self.version)
    }
}

impl File for Object {
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let wanted = buffers.iter().fold(0_usize, |sum, buffer| sum.saturating_add(buffer.len()));
        Ok(scatter((*self.read(offset, wanted)?).as_ref(), buffers))
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        match self.take_written(offset) {
            Some(mut written) => {
                written.truncate(len);
                Ok(Box::new(written))
            }
            None => self.fetch(offset, len),
        }
    }

    fn len(&self) -> io::Result<u64> {
        if let Some(len) = self.expected.or_else(|| self.told.get().copied()) {
            return Ok(len);
        }
        let meta = self.objects.head(&self.name)?.ok_or(io::ErrorKind::NotFound)?;
        Ok(*self.told.get_or_init(|| meta.len))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(()) // it was durable when its writing was answered
    }
}

/// Fill buffers one after the other; returns how many bytes there were for them.
fn scatter(mut rest: &[u8], buffers: &mut [IoSliceMut<'_>]) -> usize {
    let mut count: usize = 0;
    for buffer in buffers {
        let (now, later) = rest.split_at(buffer.len().min(rest.len()));
        if let Some(target) = buffer.get_mut(..now.len()) {
            target.copy_from_slice(now);
        }
        count = count.saturating_add(now.len());
        rest = later;
    }
    count
}

#[cfg(test)]
mod tests;
