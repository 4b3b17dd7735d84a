//! A whole segment in memory: for those small enough, and for checking one against everything its format promises.
//! Look-ups do not come here: they read single blocks.

use super::block::{self, BLOCK, CRC, SegmentSum};
use super::cursor::What;
use super::entry::rows;
use super::layout::{Layout, Section};
use super::segment::{SEGMENT_TRAILER, SegmentName, SegmentTrailer};
use super::{BatchRecord, BlobEntry, Entry, FanoutBuilder, FilterBuilder, PackRow, PinRow};
use crate::{Digest, Id, Result};

const WHAT: What = What("segment", "segment");

/// Everything a segment says.
///
/// Invariants, checked when written and when read: each list ascends without repeating itself; every batch ordinal has its
/// record; every entry lies inside a pack of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SegmentContents {
    /// Chunks and recipe nodes, by digest, pack and offset.
    pub entries: Vec<Entry>,
    /// Large blobs, by key and root.
    pub blobs: Vec<BlobEntry>,
    /// The packs that the entries point into, by id.
    pub packs: Vec<PackRow>,
    /// Pins that merging folded out of records, by key and batch.
    pub pins: Vec<PinRow>,
    /// Batch records; a record's place is its ordinal.
    pub records: Vec<BatchRecord>,
}

impl SegmentContents {
    /// The segment's name and its file's bytes, with `pack` (empty for none) at the head.
    ///
    /// # Errors
    /// `segment`: the contents break their invariants; `too-large`: a value does not fit.
    pub fn encode(&self, id: Id, level: u8, pack: &[u8]) -> Result<(SegmentName, Vec<u8>)> {
        let records_len = self.records.iter().fold(0_u64, |sum, r| sum.saturating_add(r.encoded_len() as u64));
        let name = SegmentName {
            id,
            entries: self.entries.len() as u64,
            blobs: self.blobs.len() as u64,
            packs: self.packs.len() as u64,
            pins: self.pins.len() as u64,
            records_len,
            pack_len: pack.len() as u64,
        };
        self.check(&name)?;
        let layout = Layout::new(&name)?;
        let mut sum = SegmentSum::new();
        let mut out = pack.to_vec();

        self.filter()?.finish(&mut out, &mut sum)?;
        let mut part = Vec::new();
        fanout(self.entries.iter().map(|entry| entry.digest), &mut out, &mut sum)?;
        self.entries.iter().try_for_each(|entry| entry.encode(&mut part))?;
        seal_rows(&layout.chunks, &mut part, &mut out, &mut sum)?;
        fanout(self.blobs.iter().map(|blob| blob.key), &mut out, &mut sum)?;
        self.blobs.iter().try_for_each(|blob| blob.encode(&mut part))?;
        seal_rows(&layout.blobs, &mut part, &mut out, &mut sum)?;
        self.packs.iter().try_for_each(|row| row.encode(&mut part))?;
        seal_rows(&layout.packs, &mut part, &mut out, &mut sum)?;
        self.pins.iter().for_each(|pin| pin.encode(&mut part));
        seal_rows(&layout.pins, &mut part, &mut out, &mut sum)?;
        self.records.iter().try_for_each(|record| record.encode(&mut part))?;
        seal_rows(&layout.records, &mut part, &mut out, &mut sum)?;
        SegmentTrailer { name, level, sum: sum.finish() }.encode(&mut out);
        Ok((name, out))
    }

    /// Read and check a whole segment file. A pack at its head is left to [`super::Footer::read`].
    ///
    /// # Errors
    /// `segment`, or the cause of the part that is wrong.
    pub fn decode(name: &SegmentName, file: &[u8]) -> Result<Self> {
        let layout = Layout::new(name)?;
        if file.len() as u64 != layout.file_len {
            return Err(WHAT.bad(format_args!("{name} has {} bytes instead of {}", file.len(), layout.file_len)));
        }
        let trailer = SegmentTrailer::decode(file.last_chunk::<SEGMENT_TRAILER>().map_or(&[][..], |trailer| trailer))?;
        trailer.check(name)?;
        let mut sum = SegmentSum::new();
        let [filter, chunk_fanout, chunks, blob_fanout, blobs, packs, pins, records] =
            layout.sections().map(|section| open_section(&section, file, &mut sum));
        if sum.finish() != trailer.sum {
            return Err(WHAT.bad(format_args!("{name} has blocks that do not belong together")));
        }
        let contents = Self {
            entries: decode_rows(&layout.chunks, &chunks?, Entry::decode)?,
            blobs: decode_rows(&layout.blobs, &blobs?, BlobEntry::decode)?,
            packs: decode_rows(&layout.packs, &packs?, PackRow::decode)?,
            pins: decode_rows(&layout.pins, &pins?, PinRow::decode)?,
            records: BatchRecord::decode_all(&records?.concat())?,
        };
        contents.check(name)?;
        contents.check_helpers([filter?, chunk_fanout?, blob_fanout?])?;
        Ok(contents)
    }

    fn check(&self, name: &SegmentName) -> Result<()> {
        let sorted = self.entries.is_sorted_by(|a, b| a < b)
            && self.blobs.is_sorted_by(|a, b| a < b)
            && self.packs.is_sorted_by(|a, b| a.pack < b.pack)
            && self.pins.is_sorted_by(|a, b| a < b);
        if !sorted {
            return Err(WHAT.bad(format_args!("{name} has rows out of order")));
        }
        let known = |batch: Option<u32>| batch.is_none_or(|n| (n as usize) < self.records.len());
        if !self.entries.iter().all(|e| known(e.batch)) || !self.blobs.iter().all(|b| known(b.batch)) {
            return Err(WHAT.bad(format_args!("{name} names a batch without a record")));
        }
        let own = self.packs.iter().find(|row| row.pack == name.id && row.embedded).map_or(0, |row| row.len);
        if own != name.pack_len {
            return Err(WHAT.bad(format_args!("{name} embeds a pack that its table does not have")));
        }
        let inside = |entry: &Entry| {
            let at = self.packs.binary_search_by_key(&entry.pack, |row| row.pack).ok();
            at.and_then(|at| self.packs.get(at)).is_some_and(|row| entry.end() <= row.len)
        };
        match self.entries.iter().find(|entry| !inside(entry)) {
            Some(entry) => Err(WHAT.bad(format_args!("{name} places {} outside the packs of its table", entry.digest))),
            None => Ok(()),
        }
    }

    /// Filter and fan-out must not hide a row from a look-up: they are what the rows make them.
    fn check_helpers(&self, found: [Vec<Vec<u8>>; 3]) -> Result<()> {
        let mut sum = SegmentSum::new();
        let mut blocks = [Vec::new(), Vec::new(), Vec::new()];
        let [filter, chunks, blobs] = &mut blocks;
        self.filter()?.finish(filter, &mut sum)?;
        fanout(self.entries.iter().map(|entry| entry.digest), chunks, &mut sum)?;
        fanout(self.blobs.iter().map(|blob| blob.key), blobs, &mut sum)?;
        for (blocks, found) in blocks.iter().zip(found) {
            let bodies = blocks.chunks(BLOCK).map(block::open).collect::<Result<Vec<_>>>()?;
            if bodies != found {
                return Err(WHAT.bad("has a filter or a fan-out that does not fit its rows"));
            }
        }
        Ok(())
    }

    fn filter(&self) -> Result<FilterBuilder> {
        let mut filter = FilterBuilder::new((self.entries.len() as u64).saturating_add(self.blobs.len() as u64))?;
        self.entries.iter().for_each(|entry| filter.insert(&entry.digest));
        self.blobs.iter().for_each(|blob| filter.insert(&blob.key));
        Ok(filter)
    }
}

/// Append the fan-out of keys that are at hand.
fn fanout(mut keys: impl ExactSizeIterator<Item = Digest>, out: &mut Vec<u8>, sum: &mut SegmentSum) -> Result<()> {
    let mut builder = FanoutBuilder::new(keys.len() as u64);
    keys.try_for_each(|key| builder.push(&key))?;
    builder.finish(out, sum)
}

/// Cut the encoded rows into the section's blocks; `rows` is empty afterwards.
fn seal_rows(section: &Section, rows: &mut Vec<u8>, out: &mut Vec<u8>, sum: &mut SegmentSum) -> Result<()> {
    let row_len = section.row_len();
    let mut rest = rows.as_slice();
    for index in 0..section.blocks() {
        let body = section.rows_in(index).saturating_mul(row_len).min(rest.len());
        let last = index.saturating_add(1) == section.blocks();
        let len = if last { body.saturating_add(CRC) } else { BLOCK };
        sum.add(block::seal(rest.get(..body).unwrap_or_default(), len, out)?);
        rest = rest.get(body..).unwrap_or_default();
    }
    rows.clear();
    Ok(())
}

fn open_section(section: &Section, file: &[u8], sum: &mut SegmentSum) -> Result<Vec<Vec<u8>>> {
    let open = |index| {
        let range = section.block(index).unwrap_or(0..0);
        let range =
            usize::try_from(range.start).unwrap_or(usize::MAX)..usize::try_from(range.end).unwrap_or(usize::MAX);
        let block = file.get(range).unwrap_or_default();
        sum.add(block::sum_of(block).unwrap_or(0));
        Ok(block::open(block)?.to_vec())
    };
    (0..section.blocks()).map(open).collect()
}

fn decode_rows<T, const N: usize>(
    section: &Section,
    bodies: &[Vec<u8>],
    decode: impl Fn(&[u8; N]) -> Result<T>,
) -> Result<Vec<T>> {
    let mut decoded = Vec::new();
    for (index, body) in (0_u64..).zip(bodies) {
        let rows = rows::<N>(body, section.rows_in(index))?;
        for row in rows {
            decoded.push(decode(row)?);
        }
        if body.iter().skip(rows.as_flattened().len()).any(|byte| *byte != 0) {
            return Err(WHAT.bad("has padding that is not zero"));
        }
    }
    Ok(decoded)
}
