//! The digest of bytes: a key, a chunk, a recipe node. (Minimal form; hex, threads and streams follow.)
use crate::{Error, Result};
use std::fmt;

/// BLAKE3-256.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// From bytes.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// From hex.
    ///
    /// # Errors
    /// Not a key.
    pub fn from_hex(text: &str) -> Result<Self> {
        crate::id::parse(text).map(Self).ok_or_else(|| Error::invalid("key", "not a key"))
    }
    /// First eight bytes, big-endian.
    pub fn prefix(&self) -> u64 {
        self.0.first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }
}

/// Hash.
pub fn hash(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

/// Hash of a recipe node.
pub fn hash_node(bytes: &[u8]) -> Digest {
    Digest(blake3::derive_key("packhouse 2026-11 recipe node v1", bytes))
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::id::write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        crate::id::write_hex(&self.0, f)
    }
}
