//! Rows of the pack table and of the pins.

use super::MAX_PACK;
use super::cursor::{Cursor, Fields, What};
use crate::{Digest, Id, Result};

/// Bytes of a row of the pack table.
pub const PACK_ROW: usize = 32;
/// Bytes of a pin.
pub const PIN_ROW: usize = 48;
const PACK: What = What("pack-row", "row of the pack table");
const PIN: What = What("pin", "pin");
const EMBEDDED: u32 = 1;

/// A pack that a commit wrote or that a segment's entries point into, and the length it must have to be trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackRow {
    /// The pack.
    pub pack: Id,
    /// Its length in bytes.
    pub len: u64,
    /// The pack is the head of the segment file with the same id, not a file of its own.
    pub embedded: bool,
}

impl PackRow {
    /// Append the 32 bytes.
    ///
    /// # Errors
    /// `too-large`: a length past [`MAX_PACK`].
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        if self.len > MAX_PACK {
            return Err(PACK.too_large("length"));
        }
        Fields::new(PACK, out).put(&self.pack.0).u64(self.len).u32(u32::from(self.embedded) * EMBEDDED).zeros::<4>();
        Ok(())
    }

    /// Read a row. The bytes must come from a footer or block whose checksum matched.
    ///
    /// # Errors
    /// `pack-row` when impossible, `newer-format` for flags that this version does not know.
    pub fn decode(bytes: &[u8; PACK_ROW]) -> Result<Self> {
        let mut cursor = Cursor::new(PACK, bytes);
        let (pack, len, flags) = (cursor.id()?, cursor.u64()?, cursor.u32()?);
        if flags & !EMBEDDED != 0 {
            return Err(PACK.newer("newer-format", format_args!("of {pack} has the unknown flags {flags:#x}")));
        }
        cursor.reserved::<4>()?;
        if len > MAX_PACK {
            return Err(PACK.bad(format_args!("of {pack} says a length of {len} bytes")));
        }
        Ok(Self { pack, len, embedded: flags & EMBEDDED != 0 })
    }
}

/// A key that a pinned batch keeps alive until it is released. Rows order by key, then batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PinRow {
    /// The blob.
    pub key: Digest,
    /// The batch that pinned it.
    pub batch: Id,
}

impl PinRow {
    /// Append the 48 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        Fields::new(PIN, out).put(self.key.as_bytes()).put(&self.batch.0);
    }

    /// Read a row. The bytes must come from a block whose checksum matched.
    ///
    /// # Errors
    /// None: every 48 bytes are a pin.
    pub fn decode(bytes: &[u8; PIN_ROW]) -> Result<Self> {
        let mut cursor = Cursor::new(PIN, bytes);
        Ok(Self { key: cursor.digest()?, batch: cursor.id()? })
    }
}
