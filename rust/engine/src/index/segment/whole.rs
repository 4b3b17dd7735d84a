//! A segment read as a whole, or a block at a time: by those that merge, list, survey and verify. Look-ups are in the module above.

use super::Segment;
use crate::Result;
use crate::format::blob::BLOB_ENTRY;
use crate::format::block;
use crate::format::entry::{self, ENTRY};
use crate::format::rows::{PACK_ROW, PIN_ROW, PinRow};
use crate::format::segment::SEGMENT_TRAILER;
use crate::format::{BatchRecord, BlobEntry, Entry, PackRow, Section, SegmentTrailer};
use crate::id::Id;

impl Segment {
    /// The row of a pack, if this segment lists it.
    pub(crate) fn pack_row(&self, id: &Id) -> Result<Option<PackRow>> {
        let rows = self.pack_rows()?;
        Ok(rows.binary_search_by(|row| row.pack.cmp(id)).ok().and_then(|at| rows.get(at)).copied())
    }

    /// All packs that this segment's entries name.
    pub(crate) fn pack_rows(&self) -> Result<&[PackRow]> {
        if let Some(rows) = self.packs.get() {
            return Ok(rows);
        }
        let mut rows = Vec::new();
        self.all::<PACK_ROW>(&self.layout.packs, &mut |row| {
            rows.push(PackRow::decode(row)?);
            Ok(())
        })?;
        Ok(self.packs.get_or_init(|| rows))
    }

    /// Call `take` with every row of a section.
    pub(crate) fn all<const N: usize>(
        &self,
        section: &Section,
        take: &mut dyn FnMut(&[u8; N]) -> Result<()>,
    ) -> Result<()> {
        for at in 0..section.blocks() {
            self.block(section, at, |body| {
                entry::rows::<N>(body, section.rows_in(at))?.iter().try_for_each(&mut *take)
            })?;
        }
        Ok(())
    }

    /// The entries of one block of chunk slices.
    pub(crate) fn entries_of(&self, at: u64) -> Result<Vec<Entry>> {
        let section = &self.layout.chunks;
        self.block(section, at, |body| {
            entry::rows::<ENTRY>(body, section.rows_in(at))?.iter().map(Entry::decode).collect()
        })
    }

    /// The blob entries of one block of blob slices.
    pub(crate) fn blobs_of(&self, at: u64) -> Result<Vec<BlobEntry>> {
        let section = &self.layout.blobs;
        self.block(section, at, |body| {
            entry::rows::<BLOB_ENTRY>(body, section.rows_in(at))?.iter().map(BlobEntry::decode).collect()
        })
    }

    /// The records of the batches that wrote it.
    pub(crate) fn records(&self) -> Result<Vec<BatchRecord>> {
        let mut bytes = Vec::new();
        let section = &self.layout.records;
        for at in 0..section.blocks() {
            self.block(section, at, |body| {
                bytes.extend_from_slice(body.get(..section.rows_in(at)).unwrap_or_default());
                Ok(())
            })?;
        }
        BatchRecord::decode_all(&bytes).map_err(|e| self.damaged(e))
    }

    /// Check every block and the trailer.
    pub(crate) fn verify(&self) -> Result<()> {
        let mut sum = block::SegmentSum::new();
        for section in self.layout.sections() {
            for at in 0..section.blocks() {
                let range = section.block(at).ok_or_else(|| self.bad("has no such block"))?;
                let mut bytes = vec![
                    0;
                    usize::try_from(range.end.saturating_sub(range.start))
                        .map_err(|_| self.bad("is too long"))?
                ];
                self.read(range.start, &mut bytes)?;
                block::open(&bytes).map_err(|e| self.damaged(e))?;
                sum.add(block::sum_of(&bytes).ok_or_else(|| self.bad("ends early"))?);
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

    /// Call `take` with every blob entry.
    pub(crate) fn each_blob(&self, take: &mut dyn FnMut(&BlobEntry) -> Result<()>) -> Result<()> {
        self.all::<BLOB_ENTRY>(&self.layout.blobs, &mut |row| take(&BlobEntry::decode(row)?))
    }

    /// Call `take` with every pin.
    pub(crate) fn each_pin(&self, take: &mut dyn FnMut(&PinRow) -> Result<()>) -> Result<()> {
        self.all::<PIN_ROW>(&self.layout.pins, &mut |row| take(&PinRow::decode(row)?))
    }
}
