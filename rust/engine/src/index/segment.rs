//! One open segment: look-ups that read a filter block, a fan-out block and a slice, each checked against its checksum.

mod whole;

use std::io::IoSliceMut;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::levels::level_dir;
use crate::digest::Digest;
use crate::disk::{BlockCache, Disk, File};
use crate::error::At;
use crate::format::blob::BLOB_ENTRY;
use crate::format::block::{self, BLOCK, BLOCK_BODY};
use crate::format::entry::{self, ENTRY};
use crate::format::filter::LINE;
use crate::format::{BlobEntry, Entry, FanoutShape, FilterShape, KeyBits, Layout, PackRow, Section, SegmentName};
use crate::{Error, Kind, Result};

/// A filter or fan-out that was asked this often is worth its memory.
const WORTH: u32 = 24;

/// Slices of no more than this are kept in memory, too, if they are asked often.
const SMALL_SLICES: u64 = 4 * 1024 * 1024;

fn slices_len(section: &Section) -> u64 {
    let range = section.range();
    range.end.saturating_sub(range.start)
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Segment {
    name: SegmentName,
    level: u8,
    path: String,
    layout: Layout,
    file: Arc<dyn File>,
    /// Where blocks are kept that were requests; `verify` reads past it.
    cache: Option<Arc<BlockCache>>,
    /// All blocks, for a small segment.
    body: Option<Box<[u8]>>,
    filter_shape: FilterShape,
    filter: Resident,
    chunk_fanout: Resident,
    blob_fanout: Resident,
    chunk_slices: Resident,
    blob_slices: Resident,
    packs: OnceLock<Vec<PackRow>>,
    budget: Arc<AtomicU64>,
    /// Whether some block of it did not verify.
    harmed: AtomicBool,
}

/// A section that is kept in memory once it is asked often, if the budget allows.
#[derive(Debug, Default)]
struct Resident {
    asked: AtomicU32,
    bytes: OnceLock<Option<Box<[u8]>>>,
}

impl Segment {
    /// Open a segment; `None` when its file is gone.
    ///
    /// # Errors
    /// `Corrupt` when the file has not the length that its name says; the disk's errors.
    pub(crate) fn open(disk: &dyn Disk, level: u8, name: SegmentName, budget: &Arc<AtomicU64>) -> Result<Option<Self>> {
        let path = format!("{}/{name}", level_dir(level));
        let layout = Layout::new(&name)?;
        let Some(file) = disk.open_named(&path, Some(layout.file_len)).at("open", &path)? else { return Ok(None) };
        let len = file.len().at("stat", &path)?;
        if len != layout.file_len {
            let text = format!("open segment {path}: it has {len} bytes, its name says {}", layout.file_len);
            return Err(Error::corrupt("index", text));
        }
        let mut segment = Self {
            filter_shape: FilterShape::new(name.entries.saturating_add(name.blobs)),
            name,
            level,
            path,
            layout,
            file,
            cache: disk.cache(),
            body: None,
            filter: Resident::default(),
            chunk_fanout: Resident::default(),
            blob_fanout: Resident::default(),
            chunk_slices: Resident::default(),
            blob_slices: Resident::default(),
            packs: OnceLock::new(),
            budget: Arc::clone(budget),
            harmed: AtomicBool::new(false),
        };
        let blocks = segment.layout.trailer.saturating_sub(name.pack_len);
        if blocks <= disk.reach().whole {
            match segment.whole_body(blocks) {
                Err(error) if error.io_kind() == Some(std::io::ErrorKind::NotFound) => return Ok(None),
                body => segment.body = Some(body?.into_boxed_slice()),
            }
        }
        Ok(Some(segment))
    }

    pub(crate) fn name(&self) -> &SegmentName {
        &self.name
    }

    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    pub(crate) fn file(&self) -> Arc<dyn File> {
        Arc::clone(&self.file)
    }

    /// Whether this process has met damage in it.
    pub(crate) fn is_harmed(&self) -> bool {
        self.harmed.load(Ordering::Relaxed)
    }

    pub(crate) fn file_len(&self) -> u64 {
        self.layout.file_len
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Add every entry of a chunk or node to `out`. Ask `may_hold` first: it says at little cost that there is none.
    pub(crate) fn chunks(&self, digest: &Digest, out: &mut Vec<Entry>) -> Result<()> {
        if self.name.entries == 0 {
            return Ok(());
        }
        let shape = FanoutShape::new(self.name.entries);
        self.rows::<ENTRY>(
            &self.layout.chunk_fanout,
            (&self.chunk_fanout, &self.chunk_slices),
            shape,
            &self.layout.chunks,
            digest,
            &mut |row| {
                out.push(Entry::decode(row)?);
                Ok(())
            },
        )
    }

    /// Add every entry of a large blob to `out`.
    pub(crate) fn blobs(&self, key: &Digest, out: &mut Vec<BlobEntry>) -> Result<()> {
        if self.name.blobs == 0 || !self.may_hold(&KeyBits::of(key))? {
            return Ok(());
        }
        let shape = FanoutShape::new(self.name.blobs);
        self.rows::<BLOB_ENTRY>(
            &self.layout.blob_fanout,
            (&self.blob_fanout, &self.blob_slices),
            shape,
            &self.layout.blobs,
            key,
            &mut |row| {
                out.push(BlobEntry::decode(row)?);
                Ok(())
            },
        )
    }

    /// Whether the filter lets a key pass: `false` is certain.
    #[inline]
    pub(crate) fn may_hold(&self, key: &KeyBits) -> Result<bool> {
        if self.filter_shape.blocks() == 0 {
            return Ok(false);
        }
        let section = &self.layout.filter;
        let (block, line) = key.place(&self.filter_shape);
        let in_block = line.saturating_mul(LINE);
        let short = || self.bad("has a filter shorter than its name says");
        match self.resident(section, &self.filter)? {
            Some(bytes) => {
                let at =
                    usize::try_from(block.saturating_mul(BLOCK as u64)).unwrap_or(usize::MAX).saturating_add(in_block);
                let line = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(short)?;
                Ok(key.are_in(line))
            }
            None => self.block(section, block, |body| {
                let line = body.get(in_block..).and_then(|rest| rest.first_chunk()).ok_or_else(short)?;
                Ok(key.are_in(line))
            }),
        }
    }

    fn rows<const N: usize>(
        &self,
        fanout: &Section,
        (kept_fanout, kept_slices): (&Resident, &Resident),
        shape: FanoutShape,
        slices: &Section,
        key: &Digest,
        take: &mut dyn FnMut(&[u8; N]) -> Result<()>,
    ) -> Result<()> {
        let (at, place) = shape.block_of(shape.bucket(key));
        let ranks = match self.resident(fanout, kept_fanout)? {
            Some(bytes) => {
                let start = usize::try_from(at.saturating_mul(BLOCK as u64)).unwrap_or(usize::MAX);
                let body = bytes.get(start..).unwrap_or_default();
                shape.ranks(body.get(..BLOCK_BODY.min(body.len())).unwrap_or_default(), place)?
            }
            None => self.block(fanout, at, |body| shape.ranks(body, place))?,
        };
        let Some(last) = ranks.end.checked_sub(1).filter(|last| *last >= ranks.start) else { return Ok(()) };
        let kept = if slices_len(slices) <= SMALL_SLICES { self.resident(slices, kept_slices)? } else { None };
        for at in slices.block_of(ranks.start).0..=slices.block_of(last).0 {
            let count = slices.rows_in(at);
            match kept {
                Some(bytes) => {
                    let start = usize::try_from(at.saturating_mul(BLOCK as u64)).unwrap_or(usize::MAX);
                    entry::find_rows::<N>(bytes.get(start..).unwrap_or_default(), count, key)?
                        .iter()
                        .try_for_each(&mut *take)?;
                }
                None => self.block(slices, at, |body| {
                    entry::find_rows::<N>(body, count, key)?.iter().try_for_each(&mut *take)
                })?,
            }
        }
        Ok(())
    }

    /// A section's bytes if they are, or should now be, kept in memory; every block of it was checked.
    fn resident<'a>(&self, section: &Section, kept: &'a Resident) -> Result<Option<&'a [u8]>> {
        if let Some(bytes) = kept.bytes.get() {
            return Ok(bytes.as_deref());
        }
        if self.body.is_some() || kept.asked.fetch_add(1, Ordering::Relaxed) < WORTH {
            return Ok(None);
        }
        let range = section.range();
        let len = range.end.saturating_sub(range.start);
        let fits = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(len)).is_ok();
        let bytes = if fits { Some(self.whole_section(section)?.into_boxed_slice()) } else { None };
        Ok(kept.bytes.get_or_init(|| bytes).as_deref())
    }

    fn whole_section(&self, section: &Section) -> Result<Vec<u8>> {
        let range = section.range();
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| self.bad("is too long"))?;
        let mut bytes = vec![0; len];
        let number = self.number_of(section, 0);
        if self.kept(number, &mut bytes) {
            return Ok(bytes);
        }
        self.read(range.start, &mut bytes)?;
        bytes.chunks(BLOCK).try_for_each(|one| block::open(one).map(|_| ())).map_err(|e| self.damaged(e))?;
        self.keep(number, &bytes);
        Ok(bytes)
    }

    /// All sections, one behind the other. They are checked when they are looked into; only sound ones are kept.
    fn whole_body(&self, len: u64) -> Result<Vec<u8>> {
        let mut body = vec![0; usize::try_from(len).map_err(|_| self.bad("is too long"))?];
        let sections = self.layout.sections();
        let places: Vec<(u64, Range<usize>)> = sections.iter().filter_map(|section| self.in_body(section)).collect();
        if places.iter().all(|(number, at)| body.get_mut(at.clone()).is_some_and(|out| self.kept(*number, out))) {
            return Ok(body);
        }
        self.read(self.name.pack_len, &mut body)?;
        for (number, at) in places {
            if let Some(blocks) = body.get(at)
                && blocks.chunks(BLOCK).all(|one| block::open(one).is_ok())
            {
                self.keep(number, blocks);
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

    fn kept(&self, number: u64, out: &mut [u8]) -> bool {
        self.cache.as_ref().is_some_and(|cache| cache.get(&self.name, number, out))
    }

    fn keep(&self, number: u64, blocks: &[u8]) {
        if let Some(cache) = &self.cache {
            cache.put(&self.name, number, blocks);
        }
    }

    /// Hand a block's body to `take`, once it was checked.
    fn block<R>(&self, section: &Section, at: u64, take: impl FnOnce(&[u8]) -> Result<R>) -> Result<R> {
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
                let number = if self.cache.is_some() { self.number_of(section, at) } else { 0 };
                if !self.kept(number, scratch) {
                    self.read(range.start, scratch)?;
                    block::open(scratch).map_err(|e| self.damaged(e))?;
                    self.keep(number, scratch);
                }
                scratch
            }
        };
        block::open(bytes).and_then(take).map_err(|e| self.damaged(e))
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> Result<()> {
        let len = out.len();
        let read = self.file.read_at(&mut [IoSliceMut::new(out)], offset).at("read segment", &self.path)?;
        if read == len { Ok(()) } else { Err(self.bad("ends early")) }
    }

    fn bad(&self, what: &str) -> Error {
        Error::corrupt("index", format!("read segment {}: it {what}", self.path))
    }

    fn damaged(&self, error: Error) -> Error {
        if error.kind() == Kind::Io {
            error
        } else {
            self.harmed.store(true, Ordering::Relaxed);
            error.recast(Kind::Corrupt, "index", &format!("read segment {}", self.path))
        }
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let kept = [&self.filter, &self.chunk_fanout, &self.blob_fanout, &self.chunk_slices, &self.blob_slices];
        let freed = kept
            .iter()
            .filter_map(|kept| kept.bytes.get()?.as_ref())
            .fold(0_u64, |sum, bytes| sum.saturating_add(bytes.len() as u64));
        self.budget.fetch_add(freed, Ordering::Relaxed);
    }
}
