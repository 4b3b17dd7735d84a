//! Entries: where a chunk or a recipe node lies. They stand in pack footers, by offset, and in segments, by digest.

use super::cursor::{Cursor, Fields, What};
use super::frame::{FRAME_HEADER, FrameKind};
use super::{MAX_CHUNK, MAX_PACK};
use crate::{Digest, Id, Result};

/// Bytes of an entry.
pub const ENTRY: usize = 64;
const WHAT: What = What("entry", "index entry");
const NO_BATCH: u32 = 0xFF_FFFF;
/// The largest number of batches that one pack or segment can tell apart.
pub const MAX_BATCHES: u32 = NO_BATCH;
const ROOT: u8 = 1 << 2;

/// One frame's place. Entries order by digest, then pack, then offset, as segments sort them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// Of the raw bytes.
    pub digest: Digest,
    /// The pack that holds the frame.
    pub pack: Id,
    /// Where the frame's header begins in it.
    pub offset: u64,
    /// Bytes of the payload.
    pub stored: u32,
    /// Bytes it decodes to.
    pub raw: u32,
    /// Chunk or node.
    pub kind: FrameKind,
    /// Its batch saved it as a blob of its own: the digest is a key.
    pub root: bool,
    /// Which of the batch records beside it (in the same footer or segment) it belongs to; `None` for none.
    pub batch: Option<u32>,
}

impl Entry {
    /// Append the 64 bytes.
    ///
    /// # Errors
    /// `too-large`: a value that does not fit its field.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        if self.batch.is_some_and(|batch| batch >= MAX_BATCHES) {
            return Err(WHAT.too_large("batch ordinal"));
        }
        if let Err(field) = self.check() {
            return Err(WHAT.too_large(field));
        }
        let flags = self.kind as u8 | if self.root { ROOT } else { 0 };
        let mut fields = Fields::new(WHAT, out);
        fields.put(self.digest.as_bytes()).put(&self.pack.0);
        fields.u48(self.offset, "offset")?.u24(self.stored, "stored length")?.u24(self.raw, "raw length")?;
        fields.u8(flags).u24(self.batch.unwrap_or(NO_BATCH), "batch ordinal")?;
        Ok(())
    }

    /// Read an entry. The bytes must come from a footer or block whose checksum matched.
    ///
    /// # Errors
    /// `entry` when impossible, `newer-format` for flags that this version does not know.
    #[inline]
    pub fn decode(bytes: &[u8; ENTRY]) -> Result<Self> {
        let mut cursor = Cursor::new(WHAT, bytes);
        let (digest, pack, offset) = (cursor.digest()?, cursor.id()?, cursor.u48()?);
        let (stored, raw, flags, batch) = (cursor.u24()?, cursor.u24()?, cursor.u8()?, cursor.u24()?);
        let (Some(kind), true) = (FrameKind::from_byte(flags & 0b11), flags < 8) else {
            return Err(WHAT.newer("newer-format", format_args!("of {digest} has the unknown flags {flags:#x}")));
        };
        let batch = (batch != NO_BATCH).then_some(batch);
        let entry = Self { digest, pack, offset, stored, raw, kind, root: flags & ROOT != 0, batch };
        entry.check().map_err(|field| WHAT.bad(format_args!("of {digest} has an impossible {field}")))?;
        Ok(entry)
    }

    /// Bytes of the frame, header included.
    #[inline]
    pub fn frame_len(&self) -> u64 {
        u64::from(self.stored).saturating_add(FRAME_HEADER as u64)
    }

    /// Where the frame ends in its pack.
    #[inline]
    pub fn end(&self) -> u64 {
        self.offset.saturating_add(self.frame_len())
    }

    #[inline]
    fn check(&self) -> Result<(), &'static str> {
        if self.stored > MAX_CHUNK || self.raw > MAX_CHUNK {
            return Err("length");
        }
        if self.end() > MAX_PACK {
            return Err("offset");
        }
        if self.root && self.kind == FrameKind::Node {
            return Err("root flag: a recipe node is no blob");
        }
        Ok(())
    }
}

/// The first 32 bytes of a row, by which entries, blob entries and pins are sorted.
#[inline]
pub fn key_of<const N: usize>(row: &[u8; N]) -> &[u8] {
    row.get(..32).unwrap_or_default()
}

/// The rows of a sorted block's body that begin with `key`, found without decoding the others.
///
/// `count` is the number of rows the layout says the block has.
///
/// # Errors
/// `segment-block` when the body has fewer.
pub fn find_rows<'a, const N: usize>(body: &'a [u8], count: usize, key: &Digest) -> Result<&'a [[u8; N]]> {
    let rows = rows::<N>(body, count)?;
    let start = rows.partition_point(|row| key_of(row) < key.as_bytes().as_slice());
    let rest = rows.get(start..).unwrap_or_default();
    // Rows with one key are few: copies of the same chunk in several packs.
    let len = rest.iter().take_while(|row| key_of(row) == key.as_bytes().as_slice()).count();
    Ok(rest.get(..len).unwrap_or_default())
}

/// The first `count` rows of `N` bytes of a block's body.
///
/// # Errors
/// `segment-block` when the body has fewer.
pub fn rows<const N: usize>(body: &[u8], count: usize) -> Result<&[[u8; N]]> {
    let (rows, _padding) = body.as_chunks::<N>();
    rows.get(..count).ok_or_else(|| super::block::WHAT.bad("holds fewer rows than its segment's name says"))
}
