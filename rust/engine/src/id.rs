//! Random names: who wrote (`WriterId`), and what was written (`Id`).

use std::fmt;

use crate::{Error, Result};

/// A writer: 64 random bits, drawn when a store object writes for the first time.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WriterId(pub [u8; 8]);

/// A pack, segment, batch or document version: its writer's id, then 64 random bits. Never derived from content, never reused.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id(pub [u8; 16]);

impl WriterId {
    /// Draw a new one from the operating system.
    ///
    /// # Errors
    /// The operating system has no random bytes to give.
    pub fn random() -> Result<Self> {
        let mut bytes = [0; 8];
        fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Read 16 lower-case hex digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        parse(text).map(Self)
    }

    /// A new id of this writer.
    ///
    /// # Errors
    /// The operating system has no random bytes to give.
    pub fn new_id(self) -> Result<Id> {
        let mut bytes = [0; 16];
        let (writer, rest) = bytes.split_at_mut(8);
        writer.copy_from_slice(&self.0);
        fill(rest)?;
        Ok(Id(bytes))
    }
}

impl Id {
    /// Read 32 lower-case hex digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        parse(text).map(Self)
    }

    /// The writer that drew it.
    pub fn writer(&self) -> WriterId {
        let mut bytes = [0; 8];
        bytes.iter_mut().zip(self.0).for_each(|(to, from)| *to = from);
        WriterId(bytes)
    }
}

/// Exactly `2 * N` lower-case hex digits.
pub(crate) fn parse<const N: usize>(text: &str) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != N || !rest.is_empty() {
        return None;
    }
    for (byte, &[high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = (nibble(high)? << 4) | nibble(low)?;
    }
    Some(bytes)
}

fn nibble(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => digit.checked_sub(b'0'),
        b'a'..=b'f' => digit.checked_sub(b'a' - 10),
        _ => None,
    }
}

pub(crate) fn write_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn fill(bytes: &mut [u8]) -> Result<()> {
    // At most 16 bytes: the kernel gives requests of up to 256 bytes whole or not at all.
    match rustix::rand::getrandom(&mut *bytes, rustix::rand::GetRandomFlags::empty()) {
        Ok(n) if n == bytes.len() => Ok(()),
        Ok(_) => Err(Error::invalid("random", "the operating system gave fewer random bytes than asked for")),
        Err(e) => Err(Error::io("draw", "random bytes", e.into())),
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Display for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for WriterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}
