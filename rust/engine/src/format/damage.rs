//! Damage notes: empty files whose name says which bytes of a pack did not verify.

use std::fmt;

use super::MAX_PACK;
use super::cursor::What;
use super::segment::parse_hex;
use crate::{Id, Result};

const WHAT: What = What("damage-name", "damage note");

/// Bytes of a pack that are not what they should be. Bars deduplication against them, never reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DamageNote {
    /// The pack.
    pub pack: Id,
    /// Where the frame begins.
    pub offset: u64,
    /// Bytes of the frame, or of whatever could not be read. A missing pack is noted from 0 with the length it should have.
    pub len: u64,
}

impl DamageNote {
    /// Read a note's name; each has exactly one spelling.
    ///
    /// # Errors
    /// `damage-name`: not a note.
    pub fn parse(name: &str) -> Result<Self> {
        Self::read(name).ok_or_else(|| WHAT.bad(format_args!("{name:?} is not of the form pack-offset-length")))
    }

    fn read(name: &str) -> Option<Self> {
        let mut parts = name.split('-');
        let pack = Id::from_hex(parts.next()?)?;
        let (offset, len) = (parse_hex(parts.next()?)?, parse_hex(parts.next()?)?);
        let possible = len > 0 && offset.checked_add(len).is_some_and(|end| end <= MAX_PACK);
        (parts.next().is_none() && possible).then_some(Self { pack, offset, len })
    }
}

impl fmt::Display for DamageNote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:x}-{:x}", self.pack, self.offset, self.len)
    }
}
