//! Segments, written in one pass over sorted rows.

use std::io::IoSlice;

use crate::disk::Staged;
use crate::error::At;
use crate::format::block::{self, SegmentSum};
use crate::format::segment::SegmentTrailer;
use crate::format::{
    BatchRecord, BlobEntry, Entry, FanoutBuilder, FilterBuilder, Layout, PackRow, PinRow, Section, SegmentName,
};
use crate::{Error, Result};

/// Rows of a large segment are written out when this many bytes have come together.
const FLUSH: usize = 4 * 1024 * 1024;

/// Writes one segment behind the `name.pack_len` bytes that its file begins with.
pub(crate) struct SegmentWriter<'a> {
    staged: &'a dyn Staged,
    name: SegmentName,
    level: u8,
    layout: Layout,
    filter: FilterBuilder,
    chunk_fanout: FanoutBuilder,
    blob_fanout: FanoutBuilder,
    chunks: Rows,
    blobs: Rows,
    packs: Rows,
    pins: Rows,
    records: Rows,
}

/// A section that is filled row by row.
struct Rows {
    section: Section,
    at: u64,
    body: Vec<u8>,
    in_body: u64,
    out: Vec<u8>,
    /// Where `out` goes.
    offset: u64,
    sums: Vec<u32>,
}

impl Rows {
    fn new(section: Section) -> Self {
        Self {
            section,
            at: 0,
            body: Vec::new(),
            in_body: 0,
            out: Vec::new(),
            offset: section.range().start,
            sums: Vec::new(),
        }
    }

    fn push(&mut self, staged: &dyn Staged, row: impl FnOnce(&mut Vec<u8>) -> Result<()>) -> Result<()> {
        row(&mut self.body)?;
        self.in_body = self.in_body.saturating_add(1);
        if self.in_body == self.section.rows_in(self.at) as u64 { self.seal(staged) } else { Ok(()) }
    }

    fn seal(&mut self, staged: &dyn Staged) -> Result<()> {
        let range = self.section.block(self.at).ok_or_else(miscounted)?;
        let len = usize::try_from(range.end.saturating_sub(range.start)).map_err(|_| miscounted())?;
        self.sums.push(block::seal(&self.body, len, &mut self.out)?);
        self.body.clear();
        self.in_body = 0;
        self.at = self.at.saturating_add(1);
        if self.out.len() >= FLUSH {
            staged.write_at(&[IoSlice::new(&self.out)], self.offset).at("write", "segment")?;
            self.offset = self.offset.saturating_add(self.out.len() as u64);
            self.out.clear();
        }
        Ok(())
    }

    /// Rows of one byte each.
    fn push_bytes(&mut self, staged: &dyn Staged, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = self
                .section
                .rows_in(self.at)
                .checked_sub(self.body.len())
                .filter(|room| *room > 0)
                .ok_or_else(miscounted)?;
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.body.extend_from_slice(now);
            if now.len() == room {
                self.seal(staged)?;
            }
            bytes = later;
        }
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.at == self.section.blocks() && self.body.is_empty()
    }
}

impl<'a> SegmentWriter<'a> {
    /// Begin a segment with the counts that its name says; exactly so many rows must come.
    pub(crate) fn new(staged: &'a dyn Staged, name: SegmentName, level: u8) -> Result<Self> {
        let layout = Layout::new(&name)?;
        Ok(Self {
            staged,
            name,
            level,
            layout,
            filter: FilterBuilder::new(name.entries.saturating_add(name.blobs))?,
            chunk_fanout: FanoutBuilder::new(name.entries),
            blob_fanout: FanoutBuilder::new(name.blobs),
            chunks: Rows::new(layout.chunks),
            blobs: Rows::new(layout.blobs),
            packs: Rows::new(layout.packs),
            pins: Rows::new(layout.pins),
            records: Rows::new(layout.records),
        })
    }

    /// The next entry, in ascending order of digest, pack, offset.
    pub(crate) fn entry(&mut self, entry: &Entry) -> Result<()> {
        self.filter.insert(&entry.digest);
        self.chunk_fanout.push(&entry.digest)?;
        self.chunks.push(self.staged, |out| entry.encode(out))
    }

    /// The next blob entry, in ascending order of key, root.
    pub(crate) fn blob(&mut self, blob: &BlobEntry) -> Result<()> {
        self.filter.insert(&blob.key);
        self.blob_fanout.push(&blob.key)?;
        self.blobs.push(self.staged, |out| blob.encode(out))
    }

    /// The next pack, in ascending order.
    pub(crate) fn pack(&mut self, row: &PackRow) -> Result<()> {
        self.packs.push(self.staged, |out| row.encode(out))
    }

    /// The next pin, in ascending order.
    pub(crate) fn pin(&mut self, pin: &PinRow) -> Result<()> {
        self.pins.push(self.staged, |out| {
            pin.encode(out);
            Ok(())
        })
    }

    /// The next record, in the order of the ordinals that entries name.
    pub(crate) fn record(&mut self, record: &BatchRecord) -> Result<()> {
        let mut bytes = Vec::new();
        record.encode(&mut bytes)?;
        self.records.push_bytes(self.staged, &bytes)
    }

    /// Write what is left, and the trailer.
    pub(crate) fn finish(self) -> Result<()> {
        let Self {
            staged,
            name,
            level,
            layout,
            filter,
            chunk_fanout,
            blob_fanout,
            chunks,
            blobs,
            packs,
            pins,
            records,
        } = self;
        let rows = [&chunks, &blobs, &packs, &pins, &records];
        if !rows.iter().all(|rows| rows.is_full()) {
            return Err(miscounted());
        }
        let mut sum = SegmentSum::new();
        let (mut filter_out, mut chunk_out, mut blob_out) = (Vec::new(), Vec::new(), Vec::new());
        filter.finish(&mut filter_out, &mut sum)?;
        chunk_fanout.finish(&mut chunk_out, &mut sum)?;
        chunks.sums.iter().for_each(|one| sum.add(*one));
        blob_fanout.finish(&mut blob_out, &mut sum)?;
        [&blobs, &packs, &pins, &records].iter().flat_map(|rows| &rows.sums).for_each(|one| sum.add(*one));
        let mut trailer = Vec::new();
        SegmentTrailer { name, level, sum: sum.finish() }.encode(&mut trailer);
        let parts: [(u64, &[u8]); 9] = [
            (layout.filter.range().start, &filter_out),
            (layout.chunk_fanout.range().start, &chunk_out),
            (chunks.offset, &chunks.out),
            (layout.blob_fanout.range().start, &blob_out),
            (blobs.offset, &blobs.out),
            (packs.offset, &packs.out),
            (pins.offset, &pins.out),
            (records.offset, &records.out),
            (layout.trailer, &trailer),
        ];
        write_parts(staged, &parts)
    }
}

/// Neighbours go out in one call: a small segment is one write.
fn write_parts(staged: &dyn Staged, parts: &[(u64, &[u8])]) -> Result<()> {
    let mut start = 0_u64;
    let mut end = 0_u64;
    let mut pieces: Vec<IoSlice<'_>> = Vec::new();
    for (offset, bytes) in parts.iter().filter(|(_, bytes)| !bytes.is_empty()) {
        if *offset != end && !pieces.is_empty() {
            staged.write_at(&pieces, start).at("write", "segment")?;
            pieces.clear();
        }
        if pieces.is_empty() {
            start = *offset;
        }
        end = offset.saturating_add(bytes.len() as u64);
        pieces.push(IoSlice::new(bytes));
    }
    if pieces.is_empty() { Ok(()) } else { staged.write_at(&pieces, start).at("write", "segment") }
}

fn miscounted() -> Error {
    Error::corrupt("internal", "write a segment: other rows came than were announced")
}
