//! A segment's file, read block by block or section by section: each block checked, and kept on this machine where reading it was dear.

use std::io::{ErrorKind, IoSliceMut};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::levels::level_dir;
use crate::disk::{BlockCache, Disk, File};
use crate::error::At;
use crate::format::block::{self, BLOCK};
use crate::format::segment::SEGMENT_TRAILER;
use crate::format::{Layout, Section, SegmentName, SegmentTrailer};
use crate::{Error, Kind, Result};

/// Blocks that one read fetches where all of a section are wanted: 4 MiB.
const PIECE: u64 = 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Blocks {
    pub(super) name: SegmentName,
    pub(super) path: String,
    pub(super) layout: Layout,
    pub(super) file: Arc<dyn File>,
    /// Whether each read is a request.
    pub(super) far: bool,
    /// The last block of the filter that was read, and where it begins: it is asked for chunks, and then for blobs.
    last: Mutex<(u64, Vec<u8>)>,
    /// Where blocks are kept that were requests; `verify` reads past it.
    cache: Option<Arc<BlockCache>>,
    /// All blocks, for a small segment.
    body: Option<Box<[u8]>>,
    /// Whether some block did not verify.
    harmed: AtomicBool,
}

impl Blocks {
    /// Open a segment's file; `None` when it is gone.
    ///
    /// # Errors
    /// `Corrupt` when the file has not the length that its name says; the disk's errors.
    pub(super) fn open(disk: &dyn Disk, level: u8, name: SegmentName) -> Result<Option<Self>> {
        let path = format!("{}/{name}", level_dir(level));
        let layout = Layout::new(&name)?;
        let Some(file) = disk.open_named(&path, Some(layout.file_len)).at("open", &path)? else { return Ok(None) };
        let len = file.len().at("stat", &path)?;
        if len != layout.file_len {
            let text = format!("open segment {path}: it has {len} bytes, its name says {}", layout.file_len);
            return Err(Error::corrupt("index", text));
        }
        let (far, cache, harmed) = (disk.reach().far, disk.cache(), AtomicBool::new(false));
        let mut blocks = Self { name, path, layout, file, far, last: Mutex::default(), cache, body: None, harmed };
        let len = layout.trailer.saturating_sub(name.pack_len);
        if len <= disk.reach().whole {
            match blocks.whole_body(len) {
                Err(error) if error.io_kind() == Some(ErrorKind::NotFound) => return Ok(None),
                body => blocks.body = Some(body?.into_boxed_slice()),
            }
        }
        Ok(Some(blocks))
    }

    /// Whether this process has met damage in it.
    pub(super) fn is_harmed(&self) -> bool {
        self.harmed.load(Ordering::Relaxed)
    }

    /// Whether all of it is in memory.
    pub(super) fn is_here(&self) -> bool {
        self.body.is_some()
    }

    /// Hand a block's body to `take`, once it was checked.
    pub(super) fn block<R>(&self, section: &Section, at: u64, take: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
        let range = section.block(at).ok_or_else(|| self.bad("has no such block"))?;
        let len = usize::try_from(range.end.saturating_sub(range.start)).unwrap_or(BLOCK).min(BLOCK);
        let mut scratch = [0_u8; BLOCK];
        let bytes: &[u8] = match &self.body {
            Some(body) => {
                let start = usize::try_from(range.start.saturating_sub(self.name.pack_len)).unwrap_or(usize::MAX);
                body.get(start..start.saturating_add(len)).ok_or_else(|| self.bad("ends early"))?
            }
            None => {
                let scratch = scratch.get_mut(..len).ok_or_else(|| self.bad("has too long a block"))?;
                self.fill_one(section, at, scratch)?;
                scratch
            }
        };
        block::open(bytes).and_then(take).map_err(|e| self.damaged(e))
    }

    /// Call `take` with the body of every block of a section and its number in it; many are read at once.
    pub(super) fn each(&self, section: &Section, take: &mut dyn FnMut(&[u8], u64) -> Result<()>) -> Result<()> {
        if self.body.is_some() {
            return (0..section.blocks()).try_for_each(|at| self.block(section, at, |body| take(body, at)));
        }
        self.pieces(section, &mut |first, bytes| {
            (first..)
                .zip(bytes.chunks(BLOCK))
                .try_for_each(|(at, one)| block::open(one).and_then(|body| take(body, at)).map_err(|e| self.damaged(e)))
        })
    }

    /// All bytes of a section; every block of it was checked.
    pub(super) fn whole(&self, section: &Section) -> Result<Vec<u8>> {
        let range = section.range();
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| self.bad("is too long"))?;
        let mut bytes = vec![0; len];
        self.fill(section, 0, &mut bytes)?;
        bytes.chunks(BLOCK).try_for_each(|one| block::open(one).map(|_| ())).map_err(|e| self.damaged(e))?;
        Ok(bytes)
    }

    /// Have all of a section kept on this machine, where blocks are kept: it will be asked often, and has no room in memory.
    pub(super) fn bring(&self, section: &Section) -> Result<()> {
        match self.cache {
            Some(_) => self.pieces(section, &mut |_, _| Ok(())),
            None => Ok(()),
        }
    }

    /// Call `take` with a section's bytes, some megabytes at a time, and the number of the first block of each piece.
    fn pieces(&self, section: &Section, take: &mut dyn FnMut(u64, &[u8]) -> Result<()>) -> Result<()> {
        let mut first = 0;
        while first < section.blocks() {
            let last = first.saturating_add(PIECE).min(section.blocks());
            let start = section.block(first).map_or(0, |range| range.start);
            let end = section.block(last.saturating_sub(1)).map_or(0, |range| range.end);
            let mut bytes = vec![0; usize::try_from(end.saturating_sub(start)).map_err(|_| self.bad("is too long"))?];
            self.fill(section, first, &mut bytes)?;
            take(first, &bytes)?;
            first = last;
        }
        Ok(())
    }

    fn fill_one(&self, section: &Section, at: u64, out: &mut [u8]) -> Result<()> {
        if !self.far || *section != self.layout.filter {
            return self.fill(section, at, out);
        }
        let start = section.block(at).map_or(0, |range| range.start);
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        {
            let last = last();
            if last.0 == start && last.1.len() == out.len() {
                out.copy_from_slice(&last.1);
                return Ok(());
            }
        }
        self.fill(section, at, out)?;
        *last() = (start, out.to_vec());
        Ok(())
    }

    /// Read the blocks from `first` on: what is kept, or else the file, whose sound blocks are kept then.
    fn fill(&self, section: &Section, first: u64, out: &mut [u8]) -> Result<()> {
        let range = section.block(first).ok_or_else(|| self.bad("has no such block"))?;
        let Some(cache) = &self.cache else { return self.read(range.start, out) };
        let number = self.number_of(section, first);
        if cache.get(&self.name, number, out) {
            return Ok(());
        }
        self.read(range.start, out)?;
        if out.chunks(BLOCK).all(|one| block::open(one).is_ok()) {
            cache.put(&self.name, number, out);
        }
        Ok(())
    }

    /// All sections, one behind the other. They are checked when they are looked into; only sound ones are kept.
    fn whole_body(&self, len: u64) -> Result<Vec<u8>> {
        let mut body = vec![0; usize::try_from(len).map_err(|_| self.bad("is too long"))?];
        let Some(cache) = &self.cache else {
            self.read(self.name.pack_len, &mut body)?;
            return Ok(body);
        };
        let sections = self.layout.sections();
        let places: Vec<(u64, Range<usize>)> = sections.iter().filter_map(|section| self.in_body(section)).collect();
        let kept = |(number, at): &(u64, Range<usize>)| {
            body.get_mut(at.clone()).is_some_and(|out| cache.get(&self.name, *number, out))
        };
        if places.iter().all(kept) {
            return Ok(body);
        }
        self.read(self.name.pack_len, &mut body)?;
        for (number, at) in places {
            if let Some(blocks) = body.get(at)
                && blocks.chunks(BLOCK).all(|one| block::open(one).is_ok())
            {
                cache.put(&self.name, number, blocks);
            }
        }
        Ok(body)
    }

    /// Where a section stands in the body, and the number of its first block; `None` if it has none.
    fn in_body(&self, section: &Section) -> Option<(u64, Range<usize>)> {
        let Range { start, end } = section.range();
        let place = |at: u64| usize::try_from(at.checked_sub(self.name.pack_len)?).ok();
        (start < end).then_some((self.number_of(section, 0), place(start)?..place(end)?))
    }

    /// The number of a section's block among all blocks of the segment.
    fn number_of(&self, section: &Section, at: u64) -> u64 {
        let before = self.layout.sections().into_iter().take_while(|other| other.range().start < section.range().start);
        before.fold(at, |sum, other| sum.saturating_add(other.blocks()))
    }

    /// Check every block and the trailer, as they stand in the file.
    pub(super) fn verify(&self) -> Result<()> {
        let mut sum = block::SegmentSum::new();
        for section in self.layout.sections() {
            let range = section.range();
            for start in (range.start..range.end).step_by(BLOCK.saturating_mul(PIECE as usize)) {
                let end = range.end.min(start.saturating_add((BLOCK as u64).saturating_mul(PIECE)));
                let mut bytes =
                    vec![0; usize::try_from(end.saturating_sub(start)).map_err(|_| self.bad("is too long"))?];
                self.read(start, &mut bytes)?;
                for one in bytes.chunks(BLOCK) {
                    block::open(one).map_err(|e| self.damaged(e))?;
                    sum.add(block::sum_of(one).ok_or_else(|| self.bad("ends early"))?);
                }
            }
        }
        let mut trailer = [0; SEGMENT_TRAILER];
        self.read(self.layout.trailer, &mut trailer)?;
        let trailer = SegmentTrailer::decode(&trailer).map_err(|e| self.damaged(e))?;
        trailer.check(&self.name).map_err(|e| self.damaged(e))?;
        if trailer.sum == sum.finish() {
            return Ok(());
        }
        Err(self.damaged(self.bad("has other blocks than its trailer says")))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let len = out.len();
        let read = self.file.read_at(&mut [IoSliceMut::new(out)], offset).at("read segment", &self.path)?;
        if read == len { Ok(()) } else { Err(self.bad("ends early")) }
    }

    pub(super) fn bad(&self, what: &str) -> Error {
        Error::corrupt("index", format!("read segment {}: it {what}", self.path))
    }

    pub(super) fn damaged(&self, error: Error) -> Error {
        if matches!(error.kind(), Kind::Io | Kind::Cancelled) {
            error
        } else {
            self.harmed.store(true, Ordering::Relaxed);
            error.recast(Kind::Corrupt, "index", &format!("read segment {}", self.path))
        }
    }
}
