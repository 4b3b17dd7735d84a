//! A pack's footer: all that is needed to rebuild its part of the index.

use super::blob::{BLOB_ENTRY, BlobEntry};
use super::cursor::What;
use super::entry::{ENTRY, Entry};
use super::pack::{PACK_HEADER, PACK_TRAILER, PackHeader, PackTrailer};
use super::record::BatchRecord;
use super::rows::{PACK_ROW, PackRow};
use crate::{Id, Result};

const WHAT: What = What("pack-footer", "pack footer");

/// What a pack says about itself.
///
/// Invariants, checked when written and when read: the entries name this pack, stand by offset and their frames lie back to back
/// from the header to the footer; every batch ordinal has its record here; the packs of the commit, where they are listed, ascend
/// and have this pack with its length among them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Footer {
    /// The frames, by offset.
    pub entries: Vec<Entry>,
    /// The large blobs whose recipes this pack ends.
    pub blobs: Vec<BlobEntry>,
    /// The batches that the entries belong to.
    pub records: Vec<BatchRecord>,
    /// In the last pack of a batch all packs that its commit has by then, itself included, by id; empty in the others.
    pub packs: Vec<PackRow>,
}

impl Footer {
    /// Append body and trailer: everything behind the last frame.
    ///
    /// # Errors
    /// `too-large`: a part that cannot be counted. `pack-footer`: the footer breaks its invariants.
    pub fn encode(&self, pack: Id, out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        self.entries.iter().try_for_each(|entry| entry.encode(out))?;
        self.blobs.iter().try_for_each(|blob| blob.encode(out))?;
        self.records.iter().try_for_each(|record| record.encode(out))?;
        self.packs.iter().try_for_each(|row| row.encode(out))?;
        let body = out.get(start..).unwrap_or_default();
        let records_len = self.records_len().ok_or_else(|| WHAT.too_large("record"))?;
        let count = |n: usize| u32::try_from(n).map_err(|_| WHAT.too_large("number of rows"));
        let trailer = PackTrailer {
            pack,
            body_len: body.len() as u64,
            frames: count(self.entries.len())?,
            blobs: count(self.blobs.len())?,
            records_len: u32::try_from(records_len).map_err(|_| WHAT.too_large("length of records"))?,
            packs: count(self.packs.len())?,
            sum: PackTrailer::sum(body),
        };
        let pack_len = self.pack_len().ok_or_else(|| WHAT.too_large("pack"))?;
        self.check(pack, pack_len, trailer.body_start(pack_len)?)?;
        trailer.encode(out);
        Ok(())
    }

    /// Make this the footer of a batch's last pack, which lists `others` and itself.
    ///
    /// # Errors
    /// `too-large`: a part that cannot be counted.
    pub fn list_packs(&mut self, own: Id, embedded: bool, others: impl IntoIterator<Item = PackRow>) -> Result<()> {
        self.packs = others.into_iter().collect();
        self.packs.push(PackRow { pack: own, len: 0, embedded });
        self.packs.sort_unstable();
        let len = self.pack_len().ok_or_else(|| WHAT.too_large("pack"))?;
        self.packs.iter_mut().filter(|row| row.pack == own).for_each(|row| row.len = len);
        Ok(())
    }

    /// Length of the pack that ends with this footer.
    pub fn pack_len(&self) -> Option<u64> {
        let frames_end = self.entries.last().map_or(PACK_HEADER as u64, Entry::end);
        let rows = [(self.entries.len(), ENTRY), (self.blobs.len(), BLOB_ENTRY), (self.packs.len(), PACK_ROW)];
        let mut len = frames_end.checked_add(PACK_TRAILER as u64)?.checked_add(self.records_len()?)?;
        for (count, size) in rows {
            len = len.checked_add(u64::try_from(count.checked_mul(size)?).ok()?)?;
        }
        Some(len)
    }

    fn records_len(&self) -> Option<u64> {
        self.records.iter().try_fold(0_u64, |sum, record| sum.checked_add(record.encoded_len() as u64))
    }

    /// Read the body that `trailer` describes, the `trailer.body_len` bytes before it in a pack of `pack_len` bytes.
    ///
    /// # Errors
    /// `pack-footer`, or the cause of the part that is wrong.
    pub fn decode(trailer: &PackTrailer, pack_len: u64, body: &[u8]) -> Result<Self> {
        if body.len() as u64 != trailer.body_len || PackTrailer::sum(body) != trailer.sum {
            return Err(WHAT.bad(format_args!("of {} does not match its checksum", trailer.pack)));
        }
        // The trailer has held its counts against its length, and that is the length of what is here: nothing below allocates
        // more than a small multiple of the body.
        let [entries, blobs, packs] = trailer.part_lens();
        let mut rest = body;
        let mut part = |len: u64| {
            let (part, after) = rest.split_at_checked(usize::try_from(len).ok()?)?;
            rest = after;
            Some(part)
        };
        let parts = (part(entries), part(blobs), part(trailer.records_len.into()), part(packs));
        let (Some(entries), Some(blobs), Some(records), Some(packs)) = parts else {
            return Err(WHAT.bad("is cut short"));
        };
        let footer = Self {
            entries: entries.as_chunks::<ENTRY>().0.iter().map(Entry::decode).collect::<Result<_>>()?,
            blobs: blobs.as_chunks::<BLOB_ENTRY>().0.iter().map(BlobEntry::decode).collect::<Result<_>>()?,
            records: BatchRecord::decode_all(records)?,
            packs: packs.as_chunks::<PACK_ROW>().0.iter().map(PackRow::decode).collect::<Result<_>>()?,
        };
        footer.check(trailer.pack, pack_len, trailer.body_start(pack_len)?)?;
        Ok(footer)
    }

    /// Read header, trailer and footer of a pack of `len` bytes. `read` gives as many of them as are asked for from an offset, all
    /// within the pack, or fails.
    ///
    /// # Errors
    /// As [`PackHeader::decode`], [`PackTrailer::decode`] and [`Footer::decode`]; `pack-trailer` when the pack is cut short, or its two
    /// ends are of two packs; those of `read`.
    pub fn read(len: u64, read: &mut dyn FnMut(u64, u64) -> Result<Vec<u8>>) -> Result<(PackHeader, Self)> {
        const ENDS: What = What("pack-trailer", "pack");
        let header = PackHeader::decode(&read(0, (PACK_HEADER as u64).min(len))?)?;
        let short = || ENDS.bad(format_args!("{} is cut short", header.pack));
        let at = len.checked_sub(PACK_TRAILER as u64).ok_or_else(short)?;
        let trailer = PackTrailer::decode(&read(at, PACK_TRAILER as u64)?)?;
        if trailer.pack != header.pack {
            return Err(ENDS.bad(format_args!("{} says at its end that it is {}", header.pack, trailer.pack)));
        }
        let body = read(trailer.body_start(len)?, trailer.body_len)?;
        Ok((header, Self::decode(&trailer, len, &body)?))
    }

    /// The same of a pack that is in memory as a whole.
    ///
    /// # Errors
    /// As [`Footer::read`].
    pub fn of_pack(pack: &[u8]) -> Result<(PackHeader, Self)> {
        Self::read(pack.len() as u64, &mut |offset, len| {
            let from = usize::try_from(offset).ok();
            let to = offset.checked_add(len).and_then(|to| usize::try_from(to).ok());
            let part = from.zip(to).and_then(|(from, to)| pack.get(from..to));
            part.map(<[u8]>::to_vec).ok_or_else(|| WHAT.bad("is cut short"))
        })
    }

    fn check(&self, pack: Id, pack_len: u64, frames_end: u64) -> Result<()> {
        let mut at = PACK_HEADER as u64;
        for entry in &self.entries {
            if entry.pack != pack || entry.offset != at {
                return Err(WHAT.bad(format_args!("of {pack} does not list frame upon frame at offset {at}")));
            }
            at = entry.end();
        }
        if at != frames_end {
            return Err(WHAT.bad(format_args!("of {pack} lists frames up to {at}, they end at {frames_end}")));
        }
        let known = |batch: Option<u32>| batch.is_none_or(|n| (n as usize) < self.records.len());
        if !self.entries.iter().all(|e| known(e.batch)) || !self.blobs.iter().all(|b| known(b.batch)) {
            return Err(WHAT.bad(format_args!("of {pack} names a batch without a record")));
        }
        let own = |row: &PackRow| row.pack == pack && row.len == pack_len;
        let complete = self.packs.is_empty() || self.packs.iter().any(own);
        if !complete || !self.packs.is_sorted_by(|a, b| a.pack < b.pack) {
            return Err(WHAT.bad(format_args!("of {pack} has a list of packs that is out of order or lacks itself")));
        }
        Ok(())
    }
}
