//! Blobs to files, durably.

use std::collections::{BTreeSet, HashSet};
use std::fmt;
use std::io::IoSlice;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

use super::describe::Description;
use super::{Pool, Sha1Key, blob_into, container, load, notes};
use crate::disk::{Disk, Parked, Staged};
use crate::error::At;
use crate::mutant::planted;
use crate::store::pipeline::{self, Stations, lock};
use crate::{Cancel, Error, Result};

/// So many files are synced one by one; of more, the file system is synced as a whole, twice a batch.
const FEW: usize = 4;
/// Blobs above this size are worked on by all cores together, others one by each.
const LARGE: usize = 8 << 20;

/// Blobs on their way into files. Nothing is visible before `commit`; dropping it leaves nothing behind.
pub struct GzipBatch {
    disk: Arc<dyn Disk>,
    threads: usize,
    check: bool,
    noted: HashSet<Sha1Key>,
    seen: Mutex<HashSet<Sha1Key>>,
    pending: Mutex<Vec<Pending>>,
    /// What others wrote, perhaps only into memory: acknowledging it takes a sync all the same.
    leaned: Mutex<Vec<Sha1Key>>,
    scratch: Pool,
}

struct Pending {
    key: Sha1Key,
    /// What a description beside the file has to say, where there has to be one.
    describe: Option<Description>,
    file: Waiting,
}

enum Waiting {
    Staged(Box<dyn Staged>),
    Parked(Box<dyn Parked>),
}

impl GzipBatch {
    pub(super) fn new(disk: Arc<dyn Disk>, threads: usize, check: bool) -> Result<Self> {
        let noted = notes::read(&*disk)?;
        Ok(Self {
            disk,
            threads,
            check,
            noted,
            seen: Mutex::default(),
            pending: Mutex::default(),
            leaned: Mutex::default(),
            scratch: Pool::default(),
        })
    }

    /// Write what is not there yet; keys in the order of the blobs. With `raw`, new files hold the content as it is.
    ///
    /// # Errors
    /// A file cannot be read or written; the batch is then to be dropped.
    pub fn add(&self, blobs: &[&[u8]], raw: bool, cancel: &Cancel) -> Result<Vec<Sha1Key>> {
        let grain = blobs.len().div_ceil(64).clamp(1, 16);
        let keys = pipeline::map(blobs, self.threads, grain, cancel, |blob| {
            if blob.len() > LARGE { Ok(None) } else { self.alone(blob, raw, cancel).map(Some) }
        })?;
        let pairs = keys.into_iter().zip(blobs);
        pairs.map(|(key, blob)| key.map_or_else(|| self.together(blob, raw, cancel), Ok)).collect()
    }

    /// Make everything durable and visible.
    ///
    /// # Errors
    /// A file cannot be written, synced or named. Some of the blobs may be visible then; each of them is whole.
    pub fn commit(self) -> Result<()> {
        let mut pending = self.pending.into_inner().unwrap_or_default();
        let leaned = self.leaned.into_inner().unwrap_or_default();
        if pending.is_empty() && leaned.is_empty() {
            return Ok(());
        }
        let disk = &*self.disk;
        let mut folders: BTreeSet<String> = pending.iter().map(|one| one.key.folder()).collect();
        for folder in &folders {
            disk.create_dir(folder).at("make", folder)?;
        }
        // A raw file without its description is "not gzip" for a stock reader: first the description, durably.
        for one in &pending {
            one.describe.map_or(Ok(()), |told| told.write(disk, one.key))?;
        }
        let many = pending.len().saturating_add(leaned.len()) > FEW;
        for one in &mut pending {
            if let Waiting::Staged(file) = &mut one.file
                && !planted("gzip-not-synced")
            {
                file.sync().at("sync", &one.key.path())?;
            }
        }
        if planted("gzip-not-synced") {
            // nor is anything else
        } else if many {
            disk.sync_all().at("sync", "")?;
        } else {
            for &key in &leaned {
                sync_file(disk, key)?;
                folders.insert(key.folder());
            }
        }
        let share = pending.len().div_ceil(if many { self.threads } else { 1 });
        let named = pipeline::spread(&mut pending, share, |some| some.iter_mut().try_for_each(Pending::name));
        named.into_iter().collect::<Result<Vec<()>>>()?;
        if planted("gzip-not-synced") {
            // nor is anything else
        } else if many && !pending.is_empty() {
            disk.sync_all().at("sync", "")?;
        } else if !many {
            for folder in &folders {
                disk.sync_dir(folder).at("sync", folder)?;
            }
            disk.sync_dir("").at("sync", "the folder")?;
        }
        let sound = pending.iter().map(|one| one.key).chain(leaned);
        for key in sound.filter(|key| self.noted.contains(key)) {
            notes::remove(disk, &key);
        }
        Ok(())
    }

    fn alone(&self, blob: &[u8], raw: bool, cancel: &Cancel) -> Result<Sha1Key> {
        let key = Sha1Key::of(blob);
        if self.is_known(key, blob, cancel)? {
            return Ok(key);
        }
        let describe = Description::read(&*self.disk, key)?.wanted(raw);
        if describe == Some(Description::Raw) {
            self.hold(key, describe, blob)?;
        } else {
            self.scratch.with(|deflater, bytes| {
                blob_into(deflater, blob, bytes)?;
                self.hold(key, describe, bytes)
            })?;
        }
        Ok(key)
    }

    fn hold(&self, key: Sha1Key, describe: Option<Description>, bytes: &[u8]) -> Result<()> {
        let few = lock(&self.pending).len() < FEW;
        let file = if few {
            let file = self.disk.stage().at("write", &key.path())?;
            file.write_at(&[IoSlice::new(bytes)], 0).at("write", &key.path())?;
            file.start_writeback(0, bytes.len() as u64).at("write", &key.path())?;
            Waiting::Staged(file)
        } else {
            Waiting::Parked(self.disk.park(bytes).at("write", &key.path())?)
        };
        lock(&self.pending).push(Pending { key, describe, file });
        Ok(())
    }

    /// Pack a large blob on all cores, while one of them hashes it: whether it is known shows when half the work is done.
    fn together(&self, blob: &[u8], raw: bool, cancel: &Cancel) -> Result<Sha1Key> {
        let file = self.disk.stage().at("write", "a new file")?;
        let packing = Packing {
            batch: self,
            blob,
            raw,
            file,
            next: Mutex::new(0),
            offset: Mutex::new(0),
            hashing: AtomicBool::new(false),
            cancel,
            key: OnceLock::new(),
            needless: Cancel::new(),
        };
        pipeline::run(&packing, self.threads, cancel)?;
        let key = packing.key.get().copied().ok_or_else(stopped)?;
        if packing.needless.is_cancelled() {
            return Ok(key);
        }
        let describe = Description::read(&*self.disk, key)?.wanted(raw);
        if describe == Some(Description::Raw) && !raw {
            // It was raw and is to be again, which shows only now.
            self.hold(key, describe, blob)?;
        } else {
            lock(&self.pending).push(Pending { key, describe, file: Waiting::Staged(packing.file) });
        }
        Ok(key)
    }

    /// Whether a file holds this content, or will when the batch is committed.
    fn is_known(&self, key: Sha1Key, blob: &[u8], cancel: &Cancel) -> Result<bool> {
        if !lock(&self.seen).insert(key) {
            return Ok(true);
        }
        let Some(found) = load::open(&self.disk, key)? else { return Ok(false) };
        let described = Description::read(&*self.disk, key)?;
        let check = self.check || self.noted.contains(&key);
        // A form that the description does not tell is damage for stock: the file is written anew, and described.
        let known = planted("gzip-not-healed") || found.holds(blob, described, check, cancel)?;
        if known {
            lock(&self.leaned).push(key);
        }
        Ok(known)
    }
}

impl Pending {
    fn name(&mut self) -> Result<()> {
        let path = self.key.path();
        match &mut self.file {
            Waiting::Staged(file) => file.replace(&path),
            Waiting::Parked(file) => file.replace(&path),
        }
        .at("name", &path)
    }
}

fn sync_file(disk: &dyn Disk, key: Sha1Key) -> Result<()> {
    let path = key.path();
    let gone = || std::io::Error::from(std::io::ErrorKind::NotFound);
    disk.open(&path).and_then(|file| file.ok_or_else(gone)?.sync()).at("sync", &path)
}

fn stopped() -> Error {
    Error::new(crate::Kind::Corrupt, "internal", "a worker thread of the engine panicked")
}

impl fmt::Debug for GzipBatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GzipBatch({} files in {})", lock(&self.pending).len(), self.disk.describe())
    }
}

/// One large blob on its way into a file.
struct Packing<'a> {
    batch: &'a GzipBatch,
    blob: &'a [u8],
    raw: bool,
    file: Box<dyn Staged>,
    next: Mutex<usize>,
    offset: Mutex<u64>,
    hashing: AtomicBool,
    cancel: &'a Cancel,
    key: OnceLock<Sha1Key>,
    /// Raised when the blob turns out to be known.
    needless: Cancel,
}

impl<'a> Stations for Packing<'a> {
    type Unit = &'a [u8];
    type Done = Vec<u8>;
    type Rest = (u64, Vec<u8>);

    fn next(&self) -> Result<Option<&'a [u8]>> {
        let mut next = lock(&self.next);
        if self.needless.is_cancelled() || *next >= container::pieces(self.blob).len() {
            return Ok(None);
        }
        let piece = container::piece(self.blob, *next);
        *next = next.saturating_add(1);
        Ok(Some(piece))
    }

    fn work(&self, piece: &'a [u8]) -> Result<Vec<u8>> {
        if self.raw {
            return Ok(piece.to_vec());
        }
        let mut bytes = Vec::with_capacity(piece.len().saturating_add(256));
        self.batch.scratch.with(|deflater, _| container::member(deflater, piece, &mut bytes))?;
        Ok(bytes)
    }

    fn place(&self, bytes: Vec<u8>) -> Result<(u64, Vec<u8>)> {
        let mut offset = lock(&self.offset);
        let here = *offset;
        *offset = here.saturating_add(bytes.len() as u64);
        Ok((here, bytes))
    }

    fn after(&self, (offset, bytes): (u64, Vec<u8>)) -> Result<()> {
        self.file.write_at(&[IoSlice::new(&bytes)], offset).at("write", "a new file")?;
        self.file.start_writeback(offset, bytes.len() as u64).at("write", "a new file")?;
        if !self.hashing.swap(true, Ordering::AcqRel) {
            let key = Sha1Key::of_unless(self.blob, self.cancel)?;
            if self.batch.is_known(key, self.blob, self.cancel)? {
                self.needless.cancel();
            }
            let _ = self.key.set(key);
        }
        Ok(())
    }
}
