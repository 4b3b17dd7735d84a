//! A segment read as a whole, or a block at a time: by those that merge, list, survey and verify. Look-ups are in the module above.

use super::Segment;
use crate::Result;
use crate::format::blob::BLOB_ENTRY;
use crate::format::entry::{self, ENTRY};
use crate::format::rows::{PACK_ROW, PIN_ROW, PinRow};
use crate::format::{BatchRecord, BlobEntry, Entry, PackRow, Section};
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
        self.all::<PACK_ROW>(&self.blocks.layout.packs, &mut |row| {
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
        self.blocks
            .each(section, &mut |body, at| entry::rows::<N>(body, section.rows_in(at))?.iter().try_for_each(&mut *take))
    }

    /// The entries of one block of chunk slices.
    pub(crate) fn entries_of(&self, at: u64) -> Result<Vec<Entry>> {
        let section = &self.blocks.layout.chunks;
        self.blocks.block(section, at, |body| {
            entry::rows::<ENTRY>(body, section.rows_in(at))?.iter().map(Entry::decode).collect()
        })
    }

    /// The blob entries of one block of blob slices.
    pub(crate) fn blobs_of(&self, at: u64) -> Result<Vec<BlobEntry>> {
        let section = &self.blocks.layout.blobs;
        self.blocks.block(section, at, |body| {
            entry::rows::<BLOB_ENTRY>(body, section.rows_in(at))?.iter().map(BlobEntry::decode).collect()
        })
    }

    /// The records of the batches that wrote it.
    pub(crate) fn records(&self) -> Result<Vec<BatchRecord>> {
        let mut bytes = Vec::new();
        let section = &self.blocks.layout.records;
        self.blocks.each(section, &mut |body, at| {
            bytes.extend_from_slice(body.get(..section.rows_in(at)).unwrap_or_default());
            Ok(())
        })?;
        BatchRecord::decode_all(&bytes).map_err(|e| self.blocks.damaged(e))
    }

    /// Check every block and the trailer.
    pub(crate) fn verify(&self) -> Result<()> {
        self.blocks.verify()
    }

    /// Call `take` with every blob entry.
    pub(crate) fn each_blob(&self, take: &mut dyn FnMut(&BlobEntry) -> Result<()>) -> Result<()> {
        self.all::<BLOB_ENTRY>(&self.blocks.layout.blobs, &mut |row| take(&BlobEntry::decode(row)?))
    }

    /// Call `take` with every pin.
    pub(crate) fn each_pin(&self, take: &mut dyn FnMut(&PinRow) -> Result<()>) -> Result<()> {
        self.all::<PIN_ROW>(&self.blocks.layout.pins, &mut |row| take(&PinRow::decode(row)?))
    }
}
