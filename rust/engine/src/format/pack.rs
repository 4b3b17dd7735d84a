//! The two ends of a pack: its header and its trailer.

use super::cursor::{Cursor, Fields, What};
use super::{MAX_PACK, VERSION};
use crate::{Id, Result};

/// Bytes of a pack's header.
pub const PACK_HEADER: usize = 32;
/// Bytes of a pack's trailer.
pub const PACK_TRAILER: usize = 64;
const HEADER: What = What("pack-header", "pack header");
const TRAILER: What = What("pack-trailer", "pack trailer");
const HEADER_MAGIC: [u8; 4] = *b"PHpk";
const TRAILER_MAGIC: [u8; 4] = *b"PHpe";

/// The first bytes of a pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackHeader {
    /// The pack's id, which is its file's name, or the id of the segment that embeds it.
    pub pack: Id,
}

impl PackHeader {
    /// Append the 32 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut fields = Fields::new(HEADER, out);
        fields.put(&HEADER_MAGIC).u16(VERSION).zeros::<2>().put(&self.pack.0).zeros::<4>().seal();
    }

    /// Read the 32 bytes.
    ///
    /// # Errors
    /// `pack-header` when damaged, `newer-format` when it needs a newer reader.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::sealed(HEADER, HEADER_MAGIC, bytes, PACK_HEADER)?;
        cursor.reserved::<2>()?;
        let pack = cursor.id()?;
        cursor.reserved::<4>()?;
        cursor.end()?;
        Ok(Self { pack })
    }
}

/// The last bytes of a pack: how long the footer before it is, and its checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackTrailer {
    /// The pack's id.
    pub pack: Id,
    /// Bytes of the footer's body, which ends where the trailer begins.
    pub body_len: u64,
    /// Frame entries in it.
    pub frames: u32,
    /// Blob entries in it.
    pub blobs: u32,
    /// Bytes of batch records in it.
    pub records_len: u32,
    /// Rows of packs in it.
    pub packs: u32,
    /// The first 12 bytes of the body's BLAKE3.
    pub sum: [u8; 12],
}

impl PackTrailer {
    /// The first 12 bytes of the BLAKE3 of a footer's body.
    pub fn sum(body: &[u8]) -> [u8; 12] {
        blake3::hash(body).as_bytes().first_chunk().copied().unwrap_or_default()
    }

    /// Append the 64 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut fields = Fields::new(TRAILER, out);
        fields.put(&TRAILER_MAGIC).u16(VERSION).zeros::<2>().put(&self.pack.0).u64(self.body_len);
        fields.u32(self.frames).u32(self.blobs).u32(self.records_len).u32(self.packs).put(&self.sum).seal();
    }

    /// Read the 64 bytes.
    ///
    /// # Errors
    /// `pack-trailer` when damaged or when its counts do not make its length, `newer-format` when it needs a newer reader.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::sealed(TRAILER, TRAILER_MAGIC, bytes, PACK_TRAILER)?;
        cursor.reserved::<2>()?;
        let (pack, body_len) = (cursor.id()?, cursor.u64()?);
        let (frames, blobs, records_len, packs) = (cursor.u32()?, cursor.u32()?, cursor.u32()?, cursor.u32()?);
        let trailer = Self { pack, body_len, frames, blobs, records_len, packs, sum: cursor.array()? };
        cursor.end()?;
        let [entries, blobs, rows] = trailer.part_lens();
        let expected = entries.checked_add(blobs).and_then(|n| n.checked_add(rows)?.checked_add(records_len.into()));
        if expected != Some(body_len) {
            return Err(TRAILER.bad("has counts that do not make its length"));
        }
        Ok(trailer)
    }

    /// Where the footer's body begins in a pack of `pack_len` bytes: the end of the last frame.
    ///
    /// # Errors
    /// `pack-trailer`: the footer does not fit between header and trailer.
    pub fn body_start(&self, pack_len: u64) -> Result<u64> {
        let around = (PACK_HEADER as u64).saturating_add(PACK_TRAILER as u64);
        match pack_len.checked_sub(PACK_TRAILER as u64).and_then(|end| end.checked_sub(self.body_len)) {
            Some(start) if pack_len <= MAX_PACK && pack_len >= around && start >= PACK_HEADER as u64 => Ok(start),
            _ => Err(TRAILER.bad(format_args!("says a footer of {} bytes in a pack of {pack_len}", self.body_len))),
        }
    }

    /// Bytes of the entries, the blob entries and the rows of packs.
    pub(super) fn part_lens(&self) -> [u64; 3] {
        let bytes = |count: u32, size: usize| u64::from(count).saturating_mul(size as u64);
        [
            bytes(self.frames, super::entry::ENTRY),
            bytes(self.blobs, super::blob::BLOB_ENTRY),
            bytes(self.packs, super::rows::PACK_ROW),
        ]
    }
}
