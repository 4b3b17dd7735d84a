//! A segment's two labels: its name, from which the layout follows, and its trailer.

use std::fmt;

use super::cursor::{Cursor, Fields, What};
use super::pack::{PACK_HEADER, PACK_TRAILER};
use super::{MAX_PACK, VERSION};
use crate::{Id, Result};

/// Bytes of a segment's trailer.
pub const SEGMENT_TRAILER: usize = 128;
/// The number of level folders: `index/0` to `index/7`.
pub const LEVELS: u8 = 8;
const NAME: What = What("segment-name", "segment name");
const TRAILER: What = What("segment-trailer", "segment trailer");
const MAGIC: [u8; 4] = *b"PHsg";

/// A segment file's name: its id and the counts from which every place in it is computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentName {
    /// The segment's id.
    pub id: Id,
    /// Chunk entries.
    pub entries: u64,
    /// Blob entries.
    pub blobs: u64,
    /// Rows of the pack table.
    pub packs: u64,
    /// Pins.
    pub pins: u64,
    /// Bytes of batch records.
    pub records_len: u64,
    /// Bytes of the pack at the file's head, 0 for none.
    pub pack_len: u64,
}

impl fmt::Display for SegmentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, entries, blobs, packs, pins, records_len, pack_len } = self;
        write!(f, "{id}-{entries:x}-{blobs:x}-{packs:x}-{pins:x}-{records_len:x}-{pack_len:x}")
    }
}

impl SegmentName {
    /// Read a name; each has exactly one spelling.
    ///
    /// # Errors
    /// `segment-name`: not a segment's name.
    pub fn parse(name: &str) -> Result<Self> {
        Self::read(name).ok_or_else(|| NAME.bad(format_args!("{name:?} is not of the form id-counts")))
    }

    fn read(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let id = Id::from_hex(parts.next()?)?;
        let mut next = || parse_hex(parts.next()?);
        let (entries, blobs, packs, pins, records_len, pack_len) =
            (next()?, next()?, next()?, next()?, next()?, next()?);
        let pack = pack_len == 0 || ((PACK_HEADER + PACK_TRAILER) as u64..=MAX_PACK).contains(&pack_len);
        (parts.next().is_none() && pack).then_some(Self { id, entries, blobs, packs, pins, records_len, pack_len })
    }
}

/// A number in lower-case hex without leading zeros: at most 16 digits, one spelling each.
pub(super) fn parse_hex(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    if !digits || text.is_empty() || text.len() > 16 || (text.len() > 1 && text.starts_with('0')) {
        return None;
    }
    u64::from_str_radix(text, 16).ok()
}

/// The last bytes of a segment: its name's counts again, its level, and a sum over all its blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentTrailer {
    /// What the file must be called.
    pub name: SegmentName,
    /// The level it was written for.
    pub level: u8,
    /// [`super::block::SegmentSum`] of its blocks.
    pub sum: [u8; 16],
}

impl SegmentTrailer {
    /// Append the 128 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let SegmentName { id, entries, blobs, packs, pins, records_len, pack_len } = self.name;
        let mut fields = Fields::new(TRAILER, out);
        fields.put(&MAGIC).u16(VERSION).zeros::<2>().put(&id.0);
        fields.u64(entries).u64(blobs).u64(packs).u64(pins).u64(records_len).u64(pack_len);
        fields.u8(self.level).zeros::<7>().put(&self.sum).zeros::<28>().seal();
    }

    /// Read the 128 bytes.
    ///
    /// # Errors
    /// `segment-trailer` when damaged, `newer-format` when it needs a newer reader.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::sealed(TRAILER, MAGIC, bytes, SEGMENT_TRAILER)?;
        cursor.reserved::<2>()?;
        let name = SegmentName {
            id: cursor.id()?,
            entries: cursor.u64()?,
            blobs: cursor.u64()?,
            packs: cursor.u64()?,
            pins: cursor.u64()?,
            records_len: cursor.u64()?,
            pack_len: cursor.u64()?,
        };
        let level = cursor.u8()?;
        cursor.reserved::<7>()?;
        let sum = cursor.array()?;
        cursor.reserved::<28>()?;
        cursor.end()?;
        if level >= LEVELS {
            return Err(TRAILER.bad(format_args!("of {name} says level {level}")));
        }
        Ok(Self { name, level, sum })
    }

    /// Hold the trailer against the name the file was found under.
    ///
    /// # Errors
    /// `segment-trailer`: the file is called what it is not.
    pub fn check(&self, name: &SegmentName) -> Result<()> {
        if self.name != *name {
            return Err(TRAILER.bad(format_args!("of {name} says it is {}", self.name)));
        }
        Ok(())
    }
}
