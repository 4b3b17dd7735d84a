//! Blob entries: a large blob's key, and the recipe that makes it from chunks.

use super::cursor::{Cursor, Fields, What};
use crate::{Digest, Result};

/// Bytes of a blob entry.
pub const BLOB_ENTRY: usize = 96;
const WHAT: What = What("blob-entry", "blob entry");
const NO_BATCH: u32 = u32::MAX;
const ROOT: u8 = 1;

/// A large blob. Written by the writer that hashed the blob and its recipe: this is what binds the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct BlobEntry {
    /// BLAKE3 of the whole blob.
    pub key: Digest,
    /// Digest of the recipe's root node.
    pub root: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// Chunks it is made of.
    pub chunks: u64,
    /// Which of the batch records beside it it belongs to; `None` for none.
    pub batch: Option<u32>,
    /// Height of the recipe's root node: 0 when the root lists chunks.
    pub height: u8,
}

impl BlobEntry {
    /// Append the 96 bytes.
    ///
    /// # Errors
    /// `too-large`: a batch ordinal that is the mark for "none".
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        if self.batch == Some(NO_BATCH) {
            return Err(WHAT.too_large("batch ordinal"));
        }
        let mut fields = Fields::new(WHAT, out);
        fields.put(self.key.as_bytes()).put(self.root.as_bytes()).u64(self.size).u64(self.chunks);
        fields.u32(self.batch.unwrap_or(NO_BATCH)).u8(self.height).u8(ROOT).zeros::<10>();
        Ok(())
    }

    /// Read a blob entry. The bytes must come from a footer or block whose checksum matched.
    ///
    /// # Errors
    /// `blob-entry` when impossible, `newer-format` for flags that this version does not know.
    pub fn decode(bytes: &[u8; BLOB_ENTRY]) -> Result<Self> {
        let mut cursor = Cursor::new(WHAT, bytes);
        let (key, root, size, chunks) = (cursor.digest()?, cursor.digest()?, cursor.u64()?, cursor.u64()?);
        let batch = cursor.u32()?;
        let (height, flags) = (cursor.u8()?, cursor.u8()?);
        if flags != ROOT {
            return Err(WHAT.newer("newer-format", format_args!("of {key} has the unknown flags {flags:#x}")));
        }
        cursor.reserved::<10>()?;
        if chunks == 0 || chunks > size {
            return Err(WHAT.bad(format_args!("of {key} says {chunks} chunks of {size} bytes")));
        }
        Ok(Self { key, root, size, chunks, batch: (batch != NO_BATCH).then_some(batch), height })
    }
}
