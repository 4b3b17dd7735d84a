//! Files to blobs, verified: what does not have the key's SHA-1 is never handed out.

use std::io::{ErrorKind, Read};
use std::sync::{Arc, Mutex};

use flate2::read::MultiGzDecoder;
use libdeflater::Decompressor;

use super::container::{self, HEADER, Head, PIECE, TRAILER};
use super::describe::Description;
use super::key::Hasher;
use super::source::{Reader, Source};
use super::{Health, Sha1Key, deflate, notes};
use crate::disk::Disk;
use crate::error::At;
use crate::mutant::planted;
use crate::store::pipeline::{self, Stations, lock};
use crate::{Cancel, Error, Result};

/// Files up to this size are read as a whole when they are located: no descriptor stays open.
const WHOLE: u64 = 64 << 10;
/// Blobs above this size are worked on by all cores together, others one by each.
const LARGE: u64 = 8 << 20;
/// Blobs up to this size go to a thread four at a time.
const SMALL: u64 = 64 << 10;

/// A file that was found.
#[derive(Clone, Debug)]
pub struct Found {
    key: Sha1Key,
    source: Source,
    shape: Shape,
    size: u64,
    /// Where damage is noted.
    disk: Option<Arc<dyn Disk>>,
}

#[derive(Clone, Debug)]
enum Shape {
    Ours(Vec<Member>),
    Gzip,
    Raw,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    offset: u64,
    len: usize,
    content: usize,
}

/// A blob that was read.
#[derive(Debug, PartialEq, Eq)]
pub enum Loaded {
    /// It fills the memory that was given.
    Filled,
    /// It has another size than was expected: here it is, the memory is not to be used.
    Other(Vec<u8>),
}

impl Found {
    /// A file's bytes that were read elsewhere.
    ///
    /// # Errors
    /// None: what is wrong with them is found when the blob is fetched.
    pub fn of_bytes(key: Sha1Key, bytes: &[u8]) -> Result<Self> {
        Self::of(key, Source::Bytes(bytes.into()), None)
    }

    fn of(key: Sha1Key, source: Source, disk: Option<Arc<dyn Disk>>) -> Result<Self> {
        let (shape, size) = shape(&source)?;
        Ok(Self { key, source, shape, size, disk })
    }

    /// The content's size; of a file that others wrote it is what the file says, and may be wrong.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the content has the SHA-1 of the key, and stock's code reads it; damage is noted.
    pub(super) fn inspect(&self, cancel: &Cancel) -> Result<Health> {
        let described = self.disk.as_ref().map(|disk| Description::read(&**disk, self.key)).transpose()?;
        if described.map_or(Ok(false), |described| self.is_as(described, cancel))? {
            return Ok(Health::Sound);
        }
        if self.is_sound(cancel)? {
            return Ok(described.map_or(Health::Sound, |_| Health::Undescribed));
        }
        self.note();
        Ok(Health::Damaged)
    }

    /// Whether it holds `blob` in the form that it is described in, as far as lengths and checksum tell; `check` reads all of it.
    pub(super) fn holds(&self, blob: &[u8], described: Description, check: bool, cancel: &Cancel) -> Result<bool> {
        match described {
            Description::Absent | Description::Packed if !check => self.seems_to_hold(blob),
            _ => self.is_as(described, cancel),
        }
    }

    /// Whether the content has the SHA-1 of the key, and any reader of gzip can see that. Bounded memory.
    ///
    /// # Errors
    /// The file cannot be read, or asked to stop.
    pub fn is_sound(&self, cancel: &Cancel) -> Result<bool> {
        Ok(self.is_as(Description::Packed, cancel)? || self.is_as(Description::Raw, cancel)?)
    }

    fn is_as(&self, described: Description, cancel: &Cancel) -> Result<bool> {
        match described {
            Description::Broken => Ok(false),
            Description::Raw => Ok(hash(self.source.reader(), cancel)? == Some(self.key)),
            Description::Absent | Description::Packed => Ok(self.hash_members(cancel).is_ok_and(|key| key == self.key)
                || hash(self.gzip(), cancel)? == Some(self.key)),
        }
    }

    fn hash_members(&self, cancel: &Cancel) -> Result<Sha1Key> {
        let Shape::Ours(members) = &self.shape else { return Err(self.damaged()) };
        let (mut hasher, mut decompressor, mut memory) = (Hasher::default(), Decompressor::new(), Vec::new());
        for member in members {
            cancel.check()?;
            memory.resize(member.content, 0);
            inflate(&self.source, member, &mut decompressor, &mut memory)?;
            // Other readers look at the checksum, which a load by the key has no need of.
            let offset = member.offset.saturating_add(member.len as u64).saturating_sub(TRAILER as u64);
            if container::trailer(&self.source.read(offset, TRAILER)?) != Some(container::trailer_of(&memory)) {
                return Err(self.damaged());
            }
            hasher.update(&memory);
        }
        Ok(hasher.finish())
    }

    fn fetch(&self, memory: &mut [u8], threads: usize, cancel: &Cancel) -> Result<Loaded> {
        cancel.check()?;
        let fits = memory.len() as u64 == self.size;
        let straight = if fits { self.straight(memory, threads, cancel) } else { Err(self.damaged()) };
        match straight {
            Ok(key) if key == self.key || planted("gzip-not-checked") => Ok(Loaded::Filled),
            Err(error) if error.kind() != crate::Kind::Corrupt => Err(error),
            // By others, of another size than it says; or ours is the content of a file that was saved as it is.
            _ => match self.thorough(cancel)? {
                Some(blob) => Ok(Loaded::Other(blob)),
                None => {
                    self.note();
                    Err(self.damaged())
                }
            },
        }
    }

    fn straight(&self, memory: &mut [u8], threads: usize, cancel: &Cancel) -> Result<Sha1Key> {
        if self.size > LARGE {
            return together(self, memory, threads, cancel);
        }
        let mut decompressor = Decompressor::new();
        match &self.shape {
            Shape::Ours(members) => {
                let mut rest = &mut *memory;
                for member in members {
                    let (now, later) = rest.split_at_mut_checked(member.content).ok_or_else(|| self.damaged())?;
                    inflate(&self.source, member, &mut decompressor, now)?;
                    rest = later;
                }
            }
            Shape::Gzip => {
                let len = usize::try_from(self.source.len()).map_err(|_| self.damaged())?;
                let bytes = self.source.read(0, len)?;
                let whole = decompressor.gzip_decompress(&bytes, memory).ok() == Some(memory.len());
                whole.then_some(()).ok_or_else(|| self.damaged())?;
            }
            Shape::Raw => {
                let read = self.source.fill(0, memory)?;
                (read == memory.len()).then_some(()).ok_or_else(|| self.damaged())?;
            }
        }
        Ok(Sha1Key::of(memory))
    }

    /// Try whatever the file may be.
    fn thorough(&self, cancel: &Cancel) -> Result<Option<Vec<u8>>> {
        if hash(self.source.reader(), cancel)? == Some(self.key) {
            let len = usize::try_from(self.source.len()).map_err(|_| self.damaged())?;
            return self.source.read(0, len).map(Some);
        }
        if hash(self.gzip(), cancel)? != Some(self.key) {
            return Ok(None);
        }
        let mut blob = Vec::new();
        self.gzip().read_to_end(&mut blob).at("read", &self.key.path())?;
        Ok((Sha1Key::of_unless(&blob, cancel)? == self.key).then_some(blob))
    }

    fn seems_to_hold(&self, blob: &[u8]) -> Result<bool> {
        let fits = self.size == (blob.len() as u64) & 0xFFFF_FFFF || self.size == blob.len() as u64;
        let last = match &self.shape {
            Shape::Gzip if fits => blob,
            Shape::Ours(members) if fits => container::piece(blob, members.len().saturating_sub(1)),
            _ => return Ok(false),
        };
        let Some(offset) = self.source.len().checked_sub(TRAILER as u64) else { return Ok(false) };
        let told = container::trailer(&self.source.read(offset, TRAILER)?) == Some(container::trailer_of(last));
        Ok(told && container::plausible(self.source.len(), last.len() as u64))
    }

    fn note(&self) {
        if let Some(disk) = self.disk.as_ref().filter(|_| !planted("gzip-not-noted")) {
            notes::write(&**disk, &self.key);
        }
    }

    fn gzip(&self) -> MultiGzDecoder<Reader<'_>> {
        MultiGzDecoder::new(self.source.reader())
    }

    fn damaged(&self) -> Error {
        Error::corrupt("gzip-file", format!("the content of {} does not have the SHA-1 that its name says", self.key))
    }
}

/// Hash what a reader gives; `None` when it is damaged on the way.
fn hash(mut reader: impl Read, cancel: &Cancel) -> Result<Option<Sha1Key>> {
    let (mut hasher, mut buffer) = (Hasher::default(), vec![0; 256 << 10]);
    loop {
        cancel.check()?;
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(Some(hasher.finish())),
            Ok(read) => hasher.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if is_damage(&error) => return Ok(None),
            Err(error) => return Err(Error::io("read", "a gzip file", error)),
        }
    }
}

fn is_damage(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::InvalidData | ErrorKind::UnexpectedEof)
}

/// Look for files.
pub(super) fn locate(
    disk: &Arc<dyn Disk>,
    keys: &[Sha1Key],
    threads: usize,
    cancel: &Cancel,
) -> Result<Vec<Option<Found>>> {
    pipeline::map(keys, threads, 16, cancel, |key| open(disk, *key))
}

/// Open one file.
pub(super) fn open(disk: &Arc<dyn Disk>, key: Sha1Key) -> Result<Option<Found>> {
    let path = key.path();
    let Some(file) = disk.open(&path).at("open", &path)? else { return Ok(None) };
    let mut source = Source::of_file(file, &path)?;
    if source.len() <= WHOLE {
        let len = usize::try_from(source.len()).unwrap_or_default();
        source = Source::Bytes(source.read(0, len)?.into());
    }
    Found::of(key, source, Some(Arc::clone(disk))).map(Some)
}

/// What a file is, and its content's size.
fn shape(source: &Source) -> Result<(Shape, u64)> {
    let mut first = [0; HEADER];
    let read = source.fill(0, &mut first)?;
    match container::head(first.get(..read).unwrap_or_default()) {
        Head::Ours { .. } => {
            if let Some(members) = members(source)? {
                let size = members.iter().fold(0_u64, |sum, member| sum.saturating_add(member.content as u64));
                return Ok((Shape::Ours(members), size));
            }
        }
        Head::Gzip => {}
        Head::Other => return Ok((Shape::Raw, source.len())),
    }
    let told = source.len().checked_sub(TRAILER as u64).map(|offset| source.read(offset, TRAILER)).transpose()?;
    let told = told.and_then(|bytes| container::trailer(&bytes)).map_or(0, |trailer| u64::from(trailer.len));
    // A lie about the size must not cost memory: the blob is then read as it comes.
    let size = if container::plausible(source.len(), told) { told } else { 0 };
    Ok((Shape::Gzip, size))
}

/// The members of a file of ours; `None` when they do not make up the file.
fn members(source: &Source) -> Result<Option<Vec<Member>>> {
    let (mut members, mut offset) = (Vec::new(), 0_u64);
    while offset < source.len() {
        let mut header = [0; HEADER];
        let read = source.fill(offset, &mut header)?;
        let Head::Ours { member, content } = container::head(header.get(..read).unwrap_or_default()) else {
            return Ok(None);
        };
        members.push(Member { offset, len: member, content });
        offset = offset.saturating_add(member as u64);
    }
    Ok((offset == source.len()).then_some(members))
}

/// Read blobs into memory, several at a time.
pub(super) fn fetch(
    found: &[&Found],
    memory: &mut [&mut [u8]],
    threads: usize,
    cancel: &Cancel,
) -> Vec<Result<Loaded>> {
    let pairs: Vec<_> = found.iter().zip(memory).map(|(one, memory)| (*one, Mutex::new(memory))).collect();
    // Large ones alone, one after the other, each by all threads; the others side by side.
    let total: u64 = found.iter().map(|one| one.size).fold(0, u64::saturating_add);
    let mean = total.checked_div(found.len() as u64).unwrap_or_default();
    let grain = if mean > SMALL { 1 } else { 4 };
    let side_by_side = pipeline::map(&pairs, threads, grain, cancel, |(one, memory)| {
        let small = one.size <= LARGE;
        Ok(small.then(|| one.fetch(lock(memory).as_mut(), 1, cancel)))
    });
    match side_by_side {
        Ok(results) => results
            .into_iter()
            .zip(&pairs)
            .map(|(done, (one, memory))| done.unwrap_or_else(|| one.fetch(lock(memory).as_mut(), threads, cancel)))
            .collect(),
        Err(error) => pairs.iter().map(|_| Err(error.clone())).collect(),
    }
}

fn inflate(source: &Source, member: &Member, decompressor: &mut Decompressor, memory: &mut [u8]) -> Result<()> {
    let bytes = source.read(member.offset, member.len)?;
    let stream = bytes.get(HEADER..member.len.saturating_sub(TRAILER)).unwrap_or_default();
    deflate::inflate(decompressor, stream, memory)
}

/// Pieces of one large blob: unpacked beside each other, hashed in order.
struct Pieces<'a> {
    found: &'a Found,
    left: Mutex<Left<'a>>,
    hasher: Mutex<Hasher>,
}

struct Left<'a> {
    memory: &'a mut [u8],
    members: std::slice::Iter<'a, Member>,
    /// Of a file that others wrote, which can only be read from its beginning.
    reader: Option<Box<dyn Read + Send + 'a>>,
}

fn together(found: &Found, memory: &mut [u8], threads: usize, cancel: &Cancel) -> Result<Sha1Key> {
    let reader: Option<Box<dyn Read + Send + '_>> = match &found.shape {
        Shape::Ours(_) => None,
        Shape::Gzip => Some(Box::new(found.gzip())),
        Shape::Raw => Some(Box::new(found.source.reader())),
    };
    let members = match &found.shape {
        Shape::Ours(members) => members.as_slice(),
        _ => &[],
    };
    let left = Left { memory, members: members.iter(), reader };
    let pieces = Pieces { found, left: Mutex::new(left), hasher: Mutex::default() };
    pipeline::run(&pieces, threads, cancel)?;
    let key = lock(&pieces.hasher).clone().finish();
    Ok(key)
}

impl<'a> Stations for Pieces<'a> {
    type Unit = (Option<Member>, &'a mut [u8]);
    type Done = &'a [u8];
    type Rest = ();

    fn next(&self) -> Result<Option<Self::Unit>> {
        let left = &mut *lock(&self.left);
        let memory = std::mem::take(&mut left.memory);
        if let Some(reader) = &mut left.reader {
            let (now, later) = memory.split_at_mut(PIECE.min(memory.len()));
            left.memory = later;
            return match reader.read_exact(now) {
                Ok(()) => Ok((!now.is_empty()).then_some((None, now))),
                Err(error) if is_damage(&error) => Err(self.found.damaged()),
                Err(error) => Err(Error::io("read", &self.found.key.path(), error)),
            };
        }
        let Some(member) = left.members.next() else { return Ok(None) };
        let (now, later) = memory.split_at_mut_checked(member.content).ok_or_else(|| self.found.damaged())?;
        left.memory = later;
        Ok(Some((Some(*member), now)))
    }

    fn work(&self, (member, memory): Self::Unit) -> Result<Self::Done> {
        if let Some(member) = member {
            inflate(&self.found.source, &member, &mut Decompressor::new(), memory)?;
        }
        Ok(memory)
    }

    fn place(&self, done: Self::Done) -> Result<()> {
        lock(&self.hasher).update(done);
        Ok(())
    }

    fn after(&self, (): ()) -> Result<()> {
        Ok(())
    }
}
