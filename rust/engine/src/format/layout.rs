//! Where everything in a segment lies, computed from its name alone: no header is read for a look-up.

use std::ops::Range;

use super::blob::BLOB_ENTRY;
use super::block::{BLOCK, BLOCK_BODY, CRC};
use super::cursor::What;
use super::entry::ENTRY;
use super::fanout::{self, FanoutShape};
use super::filter::{self, FilterShape};
use super::rows::{PACK_ROW, PIN_ROW};
use super::segment::{SEGMENT_TRAILER, SegmentName};
use crate::Result;

const WHAT: What = What("segment-name", "segment name");
/// No file is longer: what a signed 64-bit offset can reach.
const MAX_FILE: u64 = i64::MAX.cast_unsigned();

/// One section: rows cut into blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Section {
    start: u64,
    len: u64,
    blocks: u64,
    rows: u64,
    rows_per_block: u64,
    row_len: usize,
}

/// The places of a segment's sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Lines of 64 bytes that tell most absent keys.
    pub filter: Section,
    /// First ranks of the buckets of chunk entries.
    pub chunk_fanout: Section,
    /// Entries of 64 bytes.
    pub chunks: Section,
    /// First ranks of the buckets of blob entries.
    pub blob_fanout: Section,
    /// Blob entries of 96 bytes.
    pub blobs: Section,
    /// Pack rows of 32 bytes.
    pub packs: Section,
    /// Pins of 48 bytes.
    pub pins: Section,
    /// The stream of batch records, a row being one byte.
    pub records: Section,
    /// Where the trailer begins.
    pub trailer: u64,
    /// The file's length.
    pub file_len: u64,
}

/// How a section's rows become blocks.
struct Cut {
    rows: u64,
    row_len: usize,
    per_block: u64,
    /// Bytes that each block has beyond its rows and its checksum.
    extra: u64,
    /// Whether the last of several blocks is padded to 4096 bytes, too.
    full_last: bool,
}

impl Cut {
    fn rows(rows: u64, row_len: usize) -> Self {
        let per_block = BLOCK_BODY.checked_div(row_len).unwrap_or(1) as u64;
        Self { rows, row_len, per_block, extra: 0, full_last: false }
    }

    fn place(&self, start: u64) -> Option<Section> {
        let blocks = self.rows.div_ceil(self.per_block);
        let len = match blocks.checked_sub(1) {
            None => 0,
            Some(before) if before > 0 && self.full_last => blocks.checked_mul(BLOCK as u64)?,
            Some(before) => {
                let last = self.rows.checked_sub(before.checked_mul(self.per_block)?)?;
                let last = last.checked_mul(self.row_len as u64)?.checked_add(self.extra)?.checked_add(CRC as u64)?;
                before.checked_mul(BLOCK as u64)?.checked_add(last)?
            }
        };
        Some(Section { start, len, blocks, rows: self.rows, rows_per_block: self.per_block, row_len: self.row_len })
    }
}

impl Section {
    /// Its bytes in the file.
    pub fn range(&self) -> Range<u64> {
        self.start..self.end()
    }

    /// Its number of blocks.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Its number of rows.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes of a row.
    pub fn row_len(&self) -> usize {
        self.row_len
    }

    /// Rows of a full block.
    pub fn rows_per_block(&self) -> u64 {
        self.rows_per_block
    }

    /// The bytes of block `index` in the file, its checksum included; `None` past the last.
    pub fn block(&self, index: u64) -> Option<Range<u64>> {
        if index >= self.blocks {
            return None;
        }
        let start = self.start.checked_add(index.checked_mul(BLOCK as u64)?)?;
        Some(start..start.checked_add(BLOCK as u64)?.min(self.end()))
    }

    /// The number of rows in block `index`.
    pub fn rows_in(&self, index: u64) -> usize {
        let before = index.saturating_mul(self.rows_per_block);
        usize::try_from(self.rows.saturating_sub(before).min(self.rows_per_block)).unwrap_or(0)
    }

    /// The block that holds row `rank`, and the row's place in it.
    pub fn block_of(&self, rank: u64) -> (u64, usize) {
        let block = rank.checked_div(self.rows_per_block).unwrap_or(0);
        let row = rank.checked_rem(self.rows_per_block).unwrap_or(0);
        (block, usize::try_from(row).unwrap_or(usize::MAX))
    }

    fn end(&self) -> u64 {
        self.start.saturating_add(self.len)
    }
}

impl Layout {
    /// Place the sections of the segment `name`.
    ///
    /// # Errors
    /// `segment-name`: its counts make no possible file.
    pub fn new(name: &SegmentName) -> Result<Self> {
        Self::place(name).ok_or_else(|| WHAT.bad("has counts that make no possible file"))
    }

    fn place(name: &SegmentName) -> Option<Self> {
        let mut at = name.pack_len;
        let mut next = |cut: Cut| {
            let section = cut.place(at)?;
            at = at.checked_add(section.len)?;
            (at < MAX_FILE).then_some(section)
        };
        let lines = FilterShape::new(name.entries.checked_add(name.blobs)?).lines();
        let fanout = |count| Cut {
            extra: fanout::VALUE as u64,
            per_block: fanout::BUCKETS_PER_BLOCK,
            ..Cut::rows(FanoutShape::new(count).buckets(), fanout::VALUE)
        };
        // Ranks are four bytes.
        if name.entries > u64::from(u32::MAX) || name.blobs > u64::from(u32::MAX) {
            return None;
        }
        let filter = next(Cut { full_last: true, ..Cut::rows(lines, filter::LINE) })?;
        let chunk_fanout = next(fanout(name.entries))?;
        let chunks = next(Cut::rows(name.entries, ENTRY))?;
        let blob_fanout = next(fanout(name.blobs))?;
        let blobs = next(Cut::rows(name.blobs, BLOB_ENTRY))?;
        let packs = next(Cut::rows(name.packs, PACK_ROW))?;
        let pins = next(Cut::rows(name.pins, PIN_ROW))?;
        let records = next(Cut::rows(name.records_len, 1))?;
        let trailer = at;
        let file_len = trailer.checked_add(SEGMENT_TRAILER as u64).filter(|len| *len <= MAX_FILE)?;
        Some(Self { filter, chunk_fanout, chunks, blob_fanout, blobs, packs, pins, records, trailer, file_len })
    }

    /// The sections in their order in the file.
    pub fn sections(&self) -> [Section; 8] {
        let Self { filter, chunk_fanout, chunks, blob_fanout, blobs, packs, pins, records, .. } = *self;
        [filter, chunk_fanout, chunks, blob_fanout, blobs, packs, pins, records]
    }
}
