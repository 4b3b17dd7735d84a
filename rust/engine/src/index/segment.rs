//! One open segment: look-ups that read a filter block, a fan-out block and a slice, each checked against its checksum.

mod whole;

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use super::blocks::Blocks;
use crate::digest::Digest;
use crate::disk::{Disk, File};
use crate::format::blob::BLOB_ENTRY;
use crate::format::block::{BLOCK, BLOCK_BODY};
use crate::format::entry::{self, ENTRY};
use crate::format::filter::LINE;
use crate::format::{BlobEntry, Entry, FanoutShape, FilterShape, KeyBits, Layout, PackRow, Section, SegmentName};
use crate::{Kind, Result};

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
    blocks: Blocks,
    level: u8,
    filter_shape: FilterShape,
    filter: Resident,
    chunk_fanout: Resident,
    blob_fanout: Resident,
    chunk_slices: Resident,
    blob_slices: Resident,
    packs: OnceLock<Vec<PackRow>>,
    budget: Arc<AtomicU64>,
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
        let Some(blocks) = Blocks::open(disk, level, name)? else { return Ok(None) };
        Ok(Some(Self {
            filter_shape: FilterShape::new(name.entries.saturating_add(name.blobs)),
            blocks,
            level,
            filter: Resident::default(),
            chunk_fanout: Resident::default(),
            blob_fanout: Resident::default(),
            chunk_slices: Resident::default(),
            blob_slices: Resident::default(),
            packs: OnceLock::new(),
            budget: Arc::clone(budget),
        }))
    }

    pub(crate) fn name(&self) -> &SegmentName {
        &self.blocks.name
    }

    pub(crate) fn level(&self) -> u8 {
        self.level
    }

    pub(crate) fn path(&self) -> &str {
        &self.blocks.path
    }

    pub(crate) fn file(&self) -> Arc<dyn File> {
        Arc::clone(&self.blocks.file)
    }

    /// Whether it is in memory, so that no look at it is a request.
    pub(crate) fn is_here(&self) -> bool {
        self.blocks.is_here()
    }

    /// Whether this process has met damage in it.
    pub(crate) fn is_harmed(&self) -> bool {
        self.blocks.is_harmed()
    }

    pub(crate) fn file_len(&self) -> u64 {
        self.blocks.layout.file_len
    }

    pub(crate) fn layout(&self) -> &Layout {
        &self.blocks.layout
    }

    /// Add every entry of a chunk or node to `out`. Ask `may_hold` first: it says at little cost that there is none.
    pub(crate) fn chunks(&self, digest: &Digest, out: &mut Vec<Entry>) -> Result<()> {
        if self.blocks.name.entries == 0 {
            return Ok(());
        }
        let shape = FanoutShape::new(self.blocks.name.entries);
        self.rows::<ENTRY>(
            &self.blocks.layout.chunk_fanout,
            (&self.chunk_fanout, &self.chunk_slices),
            shape,
            &self.blocks.layout.chunks,
            digest,
            &mut |row| {
                out.push(Entry::decode(row)?);
                Ok(())
            },
        )
    }

    /// Add every entry of a large blob to `out`.
    pub(crate) fn blobs(&self, key: &Digest, out: &mut Vec<BlobEntry>) -> Result<()> {
        if self.blocks.name.blobs == 0 || !self.may_hold(&KeyBits::of(key))? {
            return Ok(());
        }
        let shape = FanoutShape::new(self.blocks.name.blobs);
        self.rows::<BLOB_ENTRY>(
            &self.blocks.layout.blob_fanout,
            (&self.blob_fanout, &self.blob_slices),
            shape,
            &self.blocks.layout.blobs,
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
        let section = &self.blocks.layout.filter;
        let (block, line) = key.place(&self.filter_shape);
        let in_block = line.saturating_mul(LINE);
        let short = || self.blocks.bad("has a filter shorter than its name says");
        match self.resident(section, &self.filter)? {
            Some(bytes) => {
                let at =
                    usize::try_from(block.saturating_mul(BLOCK as u64)).unwrap_or(usize::MAX).saturating_add(in_block);
                let line = bytes.get(at..).and_then(|rest| rest.first_chunk()).ok_or_else(short)?;
                Ok(key.are_in(line))
            }
            None => self.blocks.block(section, block, |body| {
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
            None => self.blocks.block(fanout, at, |body| shape.ranks(body, place))?,
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
                None => self.blocks.block(slices, at, |body| {
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
        let range = section.range();
        let len = range.end.saturating_sub(range.start);
        // A request takes as long as a megabyte does.
        let worth =
            if self.blocks.far { u32::try_from(len >> 20).unwrap_or(u32::MAX).saturating_add(4) } else { WORTH };
        if self.blocks.is_here() || kept.asked.fetch_add(1, Ordering::Relaxed) != worth {
            return Ok(None);
        }
        let fits = self.budget.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(len)).is_ok();
        let read = if fits {
            self.blocks.whole(section).map(|bytes| Some(bytes.into_boxed_slice()))
        } else {
            self.blocks.bring(section).map(|()| None)
        };
        let bytes = read.inspect_err(|error| {
            if fits {
                self.budget.fetch_add(len, Ordering::Relaxed);
            }
            if error.kind() != Kind::Corrupt {
                kept.asked.store(0, Ordering::Relaxed); // whoever gave up here, others will ask
            }
        })?;
        Ok(kept.bytes.get_or_init(|| bytes).as_deref())
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
