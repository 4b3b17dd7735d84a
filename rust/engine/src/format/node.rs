//! Recipe nodes: a large blob is the tree of these over its chunks.

use super::MAX_CHUNK;
use super::cursor::{Cursor, Fields, What};
use crate::{Digest, Result};

/// Bytes of a node before its records.
pub const NODE_HEADER: usize = 16;
/// Bytes of a record.
pub const NODE_RECORD: usize = 40;
/// Records after which a node may end.
pub const MIN_RECORDS: usize = 16;
/// Records after which it must.
pub const MAX_RECORDS: usize = 512;
/// The highest tree: 16 records a node at least, so that this many levels hold more chunks than a blob can have.
pub const MAX_HEIGHT: u8 = 16;
const AVERAGE_RECORDS: u32 = 128;
const WHAT: What = What("recipe-node", "recipe node");
const MAGIC: [u8; 4] = *b"PHrn";
const NODE_VERSION: u8 = 1;

/// A part of a blob: a chunk in a leaf, a node one level down elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeRecord {
    /// Of the chunk, or of the node.
    pub digest: Digest,
    /// Bytes of the blob it stands for.
    pub len: u64,
}

/// A node: its records in the order of the blob's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// 0 when the records are chunks.
    pub height: u8,
    /// 1 to [`MAX_RECORDS`].
    pub records: Vec<NodeRecord>,
}

/// The cut rule: whether a node ends with its `count`-th record, whose digest this is.
pub fn ends(count: usize, last: &Digest) -> bool {
    let word = last.as_bytes().last_chunk().map_or(0, |tail| u32::from_le_bytes(*tail));
    count >= MAX_RECORDS || (count >= MIN_RECORDS && word % AVERAGE_RECORDS == 0)
}

impl Node {
    /// Append the node.
    ///
    /// # Errors
    /// `too-large`: no records, too many, or one of an impossible length.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        self.check().map_err(|why| WHAT.too_large(why))?;
        let count = u32::try_from(self.records.len()).map_err(|_| WHAT.too_large("number of records"))?;
        let mut fields = Fields::new(WHAT, out);
        fields.put(&MAGIC).u8(NODE_VERSION).u8(self.height).zeros::<2>().u32(count).zeros::<4>();
        for record in &self.records {
            fields.put(record.digest.as_bytes()).u64(record.len);
        }
        Ok(())
    }

    /// Read a node. The bytes must have matched the node's digest.
    ///
    /// # Errors
    /// `recipe-node` when impossible, `newer-format` when it needs a newer reader.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::new(WHAT, bytes);
        if cursor.array::<4>()? != MAGIC {
            return Err(WHAT.bad("does not begin with its magic"));
        }
        let (version, height) = (cursor.u8()?, cursor.u8()?);
        if version != NODE_VERSION {
            return Err(WHAT.newer("newer-format", format_args!("has version {version}, this reads version 1")));
        }
        cursor.reserved::<2>()?;
        let count = cursor.u32()?;
        cursor.reserved::<4>()?;
        let (rows, rest) = cursor.rest().as_chunks::<NODE_RECORD>();
        if rows.len() as u64 != u64::from(count) || !rest.is_empty() || rows.len() > MAX_RECORDS {
            return Err(WHAT.bad(format_args!("says {count} records in {} bytes", bytes.len())));
        }
        let record = |row: &[u8; NODE_RECORD]| {
            let mut row = Cursor::new(WHAT, row);
            Ok(NodeRecord { digest: row.digest()?, len: row.u64()? })
        };
        let node = Self { height, records: rows.iter().map(record).collect::<Result<_>>()? };
        node.check().map_err(|why| WHAT.bad(format_args!("has an impossible {why}")))?;
        Ok(node)
    }

    /// Bytes of the blob under this node.
    pub fn size(&self) -> u64 {
        self.records.iter().fold(0, |sum, record| sum.saturating_add(record.len))
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.records.is_empty() || self.records.len() > MAX_RECORDS {
            return Err("number of records");
        }
        if self.height > MAX_HEIGHT {
            return Err("height");
        }
        let longest = if self.height == 0 { u64::from(MAX_CHUNK) } else { u64::MAX };
        if self.records.iter().any(|record| record.len == 0 || record.len > longest) {
            return Err("length of a part");
        }
        match self.records.iter().try_fold(0_u64, |sum, record| sum.checked_add(record.len)) {
            Some(_) => Ok(()),
            None => Err("sum of lengths"),
        }
    }
}
