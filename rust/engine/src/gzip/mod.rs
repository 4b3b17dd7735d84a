//! Blobs as one gzip file each, `<first two digits>/<SHA-1 of the content>`: the form in which Metaflow keeps artifacts, and which
//! its own code reads without this engine.
//!
//! Writing: every file is written under no name, all are synced, then each gets its name, then the names are synced. Existence is not
//! validity: a file that cannot hold the content (empty, cut short, of another length or checksum), or that a reader has noted as
//! damaged, is replaced. Reading: what is handed out has the SHA-1 that its name says.

mod container;
mod deflate;
mod describe;
mod huffman;
mod key;
mod literals;
mod load;
mod notes;
mod save;
mod source;

use std::fmt;
use std::sync::{Arc, Mutex};

pub use self::key::Sha1Key;
pub use self::load::{Found, Loaded};
pub use self::save::GzipBatch;

use self::deflate::Deflater;
use crate::disk::Disk;
use crate::store::pipeline::{cores, lock};
use crate::{Cancel, Result};

/// A folder of gzip files. Cheap to make; holds no file open.
#[derive(Clone)]
pub struct GzipFiles {
    disk: Arc<dyn Disk>,
    threads: usize,
}

impl GzipFiles {
    /// The files in a disk's root folder, worked on by all cores.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, threads: cores() }
    }

    /// Begin a batch of saves; with `check`, what exists already is read and compared as a whole.
    ///
    /// # Errors
    /// The notes about damage cannot be listed.
    pub fn begin(&self, check: bool) -> Result<GzipBatch> {
        GzipBatch::new(Arc::clone(&self.disk), self.threads, check)
    }

    /// Look for files; `None` where there is none.
    ///
    /// # Errors
    /// A file is there and cannot be opened or read.
    pub fn locate(&self, keys: &[Sha1Key], cancel: &Cancel) -> Result<Vec<Option<Found>>> {
        load::locate(&self.disk, keys, self.threads, cancel)
    }
}

impl fmt::Debug for GzipFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "GzipFiles({})", self.disk.describe())
    }
}

/// The content's key and its gzip form, for stores that are no folder.
///
/// # Errors
/// Asked to stop.
pub fn pack(blobs: &[&[u8]], cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
    let scratch = Pool::default();
    crate::store::pipeline::map(blobs, cores(), 1, cancel, |blob| {
        scratch.with(|deflater, out| {
            blob_into(deflater, blob, out)?;
            Ok(out.clone())
        })
    })
}

/// The keys of blobs.
///
/// # Errors
/// Asked to stop.
pub fn keys(blobs: &[&[u8]], cancel: &Cancel) -> Result<Vec<Sha1Key>> {
    crate::store::pipeline::map(blobs, cores(), 1, cancel, |blob| Sha1Key::of_unless(blob, cancel))
}

/// Read blobs that were located into memory of their sizes, verified. Where the size was only a guess, the bytes come as `Loaded::Other`.
pub fn fetch(found: &[&Found], memory: &mut [&mut [u8]], cancel: &Cancel) -> Vec<Result<Loaded>> {
    load::fetch(found, memory, cores(), cancel)
}

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Its content is what its key says.
    Sound,
    /// It is, but stock's code takes raw content for gzip or gzip for raw content, or cannot read the description beside it.
    Undescribed,
    /// It is not.
    Damaged,
}

/// Whether each blob that was located is what its key says; damage is noted. Bounded memory.
///
/// # Errors
/// A file cannot be read, or asked to stop.
pub fn inspect(found: &[Option<Found>], cancel: &Cancel) -> Result<Vec<Option<Health>>> {
    crate::store::pipeline::map(found, cores(), 1, cancel, |one| {
        one.as_ref().map(|one| one.inspect(cancel)).transpose()
    })
}

fn blob_into(deflater: &mut Deflater, blob: &[u8], out: &mut Vec<u8>) -> Result<()> {
    for piece in container::pieces(blob) {
        container::member(deflater, piece, out)?;
    }
    Ok(())
}

/// Compressors that wait for the next piece, each with room for what it makes: tables and pages that are not worth making anew.
#[derive(Default)]
struct Pool(Mutex<Vec<(Deflater, Vec<u8>)>>);

impl Pool {
    fn with<T>(&self, work: impl FnOnce(&mut Deflater, &mut Vec<u8>) -> T) -> T {
        let waiting = lock(&self.0).pop();
        let (mut deflater, mut room) = waiting.unwrap_or_default();
        room.clear();
        let result = work(&mut deflater, &mut room);
        lock(&self.0).push((deflater, room));
        result
    }
}
