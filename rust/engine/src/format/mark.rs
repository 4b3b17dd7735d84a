//! Marks: names under `marks/` that every writer lists after it published. A pack's id says that the pack is condemned.

use super::VERSION;
use super::cursor::{Cursor, Fields, What};
use crate::{Id, Result};

/// Bytes of a mark.
pub const MARK: usize = 64;
const WHAT: What = What("mark", "mark");
const MAGIC: [u8; 4] = *b"PHmk";

/// What a name under `marks/` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MarkName {
    /// This pack is condemned: what is live in it must be copied out, nothing may lean on it any more.
    Condemned(Id),
    /// An announcement of a later version. Who does not know it stops writing.
    Unknown,
}

impl MarkName {
    /// What the name says. The name alone decides: the content is for people and for tools.
    pub fn parse(name: &str) -> Self {
        Id::from_hex(name).map_or(Self::Unknown, Self::Condemned)
    }
}

/// The content of a mark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The condemned pack, as in the name.
    pub pack: Id,
    /// When, by the store's clock: milliseconds since 1970.
    pub time_ms: i64,
}

impl Mark {
    /// Append the 64 bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut fields = Fields::new(WHAT, out);
        fields
            .put(&MAGIC)
            .u16(VERSION)
            .zeros::<2>()
            .put(&self.pack.0)
            .u64(self.time_ms.cast_unsigned())
            .zeros::<28>()
            .seal();
    }

    /// Read the 64 bytes.
    ///
    /// # Errors
    /// `mark` when damaged, `newer-format` when it needs a newer reader.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::sealed(WHAT, MAGIC, bytes, MARK)?;
        cursor.reserved::<2>()?;
        let mark = Self { pack: cursor.id()?, time_ms: cursor.i64()? };
        cursor.reserved::<28>()?;
        cursor.end()?;
        Ok(mark)
    }
}
