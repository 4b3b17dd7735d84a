//! Blocks of segments that were fetched from a bucket, kept in files of this machine: a segment is never replaced, so what was right once
//! stays right.
//!
//! One file for each segment, sparse, under the segment's name; block *n* stands at its own place in it, behind the BLAKE3 of the name,
//! *n* and the block. What does not match is not there, so nothing is locked, synced or renamed: processes write the same bytes to the
//! same places, half a write and a flipped bit are absent blocks, and whoever likes deletes files at any time. Every failure is the
//! answer "not there"; the first that says more is told once.

use std::fmt::Debug;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use crate::format::block::BLOCK;
use crate::format::segment::SegmentName;

/// The folder within the one that was chosen; another layout gets another name.
const FOLDER: &str = "index-1";
const SUM: usize = 32;
const SLOT: usize = SUM + BLOCK;
/// What was used this recently is not written down again as used.
const FRESH: Duration = Duration::from_secs(60);
/// Files of no more than so many segments are kept: those of small ones, which are soon merged, take little but a name.
const FILES: usize = 10_000;

/// Called once, with why nothing more is kept.
pub type Tell = Box<dyn Fn(&str) + Send + Sync>;

/// See the module.
pub struct BlockCache {
    folder: PathBuf,
    bound: u64,
    tell: Tell,
    /// Nothing more is kept.
    full: AtomicBool,
    /// Bytes that this process has added since it last looked how much there is.
    added: AtomicU64,
    looking: Mutex<bool>,
}

/// A file of the cache, as a sweep sees it.
struct Kept {
    used: SystemTime,
    bytes: u64,
    path: PathBuf,
}

impl BlockCache {
    /// Keep blocks beneath a folder, which is made when there is something to keep, in about so many bytes. Several processes may share
    /// it; each looks at the whole whenever it has added a sixteenth of the bound, and removes what was not used for longest.
    #[must_use]
    pub fn new(folder: &Path, bound: u64, tell: Tell) -> Self {
        Self {
            folder: folder.join(FOLDER),
            bound,
            tell,
            full: AtomicBool::new(false),
            added: AtomicU64::new(0),
            looking: Mutex::new(false),
        }
    }

    /// Fill `out` with blocks of a segment, `first` and those behind it, of which the last only may be short; whether all are there.
    pub(crate) fn get(&self, name: &SegmentName, first: u64, out: &mut [u8]) -> bool {
        match self.try_get(&name.to_string(), first, out) {
            Ok(found) => found,
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => self.give_up(&error),
        }
    }

    fn try_get(&self, name: &str, first: u64, out: &mut [u8]) -> io::Result<bool> {
        let file = options().read(true).open(self.folder.join(name))?;
        let slots = out.len().div_ceil(BLOCK);
        let short = slots.saturating_mul(BLOCK).saturating_sub(out.len());
        let mut bytes = vec![0; slots.saturating_mul(SLOT).saturating_sub(short)];
        match file.read_exact_at(&mut bytes, place(first)) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            read => read?,
        }
        for ((number, slot), target) in (first..).zip(bytes.chunks(SLOT)).zip(out.chunks_mut(BLOCK)) {
            let Some((sum, block)) = slot.split_first_chunk::<SUM>() else { return Ok(false) };
            if *sum != sum_of(name, number, block) || block.len() != target.len() {
                return Ok(false);
            }
            target.copy_from_slice(block);
        }
        let used = file.metadata()?.modified()?;
        if used.elapsed().is_ok_and(|age| age > FRESH) {
            // Only whose file it is may say so.
            let _ = file.set_modified(SystemTime::now());
        }
        Ok(true)
    }

    /// Keep blocks, as `get` hands them out; they were checked.
    pub(crate) fn put(&self, name: &SegmentName, first: u64, blocks: &[u8]) {
        let slots = blocks.len().div_ceil(BLOCK);
        let mut bytes = Vec::with_capacity(slots.saturating_mul(SLOT));
        let name = name.to_string();
        for (number, block) in (first..).zip(blocks.chunks(BLOCK)) {
            bytes.extend_from_slice(&sum_of(&name, number, block));
            bytes.extend_from_slice(block);
        }
        if !self.full.load(Ordering::Relaxed)
            && let Err(error) = self.try_put(&name, first, &bytes)
        {
            self.give_up(&error);
        }
    }

    fn try_put(&self, name: &str, first: u64, bytes: &[u8]) -> io::Result<()> {
        let len = bytes.len() as u64;
        let share = self.bound >> 4;
        if len > self.bound >> 1 {
            return Ok(());
        }
        let added = self.added.fetch_add(len, Ordering::Relaxed).saturating_add(len);
        {
            let mut looked = self.looking.lock().unwrap_or_else(PoisonError::into_inner);
            if added > share || !*looked {
                *looked = true;
                self.sweep(len)?;
                self.added.store(0, Ordering::Relaxed);
            }
        }
        let path = self.folder.join(name);
        let mut opening = options();
        opening.write(true).create(true).truncate(false).mode(0o600);
        let file = match opening.open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)?;
                opening.open(&path)?
            }
            opened => opened?,
        };
        file.write_all_at(bytes, place(first))
    }

    /// Remove what was not used for longest, so that there is room for `len` bytes more.
    fn sweep(&self, len: u64) -> io::Result<()> {
        let mut kept = self.kept()?;
        kept.sort_unstable_by_key(|file| std::cmp::Reverse(file.used));
        let mut total = kept.iter().fold(len, |sum, file| sum.saturating_add(file.bytes));
        if total <= self.bound && kept.len() < FILES {
            return Ok(());
        }
        let room = self.bound.saturating_sub(self.bound >> 3);
        let mut count = kept.len();
        while total > room || count > FILES - FILES / 8 {
            let Some(file) = kept.pop() else { break };
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            total = total.saturating_sub(file.bytes);
            count = count.saturating_sub(1);
        }
        Ok(())
    }

    /// Files of segments; other things in the folder are nobody's business here.
    fn kept(&self) -> io::Result<Vec<Kept>> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut kept = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_name().to_str().is_none_or(|name| SegmentName::parse(name).is_err()) {
                continue;
            }
            let meta = match entry.metadata() {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                meta => meta?,
            };
            if meta.is_file() {
                kept.push(Kept {
                    used: meta.modified()?,
                    bytes: meta.blocks().saturating_mul(512),
                    path: entry.path(),
                });
            }
        }
        Ok(kept)
    }

    fn give_up(&self, error: &io::Error) -> bool {
        if !self.full.swap(true, Ordering::Relaxed) {
            (self.tell)(&format!("no more of the index is kept in {}: {error}", self.folder.display()));
        }
        false
    }
}

impl Debug for BlockCache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BlockCache").field("folder", &self.folder).field("bound", &self.bound).finish_non_exhaustive()
    }
}

fn options() -> OpenOptions {
    let mut options = File::options();
    options.custom_flags(rustix::fs::OFlags::NOFOLLOW.bits().cast_signed());
    options
}

fn place(number: u64) -> u64 {
    number.saturating_mul(SLOT as u64)
}

fn sum_of(name: &str, number: u64, block: &[u8]) -> [u8; SUM] {
    let mut hasher = blake3::Hasher::new_derive_key("packhouse 2026-11 kept block of a segment v1");
    hasher.update(&number.to_le_bytes()).update(name.as_bytes()).update(block);
    hasher.finalize().into()
}

#[cfg(test)]
mod tests;
