//! SHA-1 of a content as 40 hex digits: a name that Metaflow computes too. It guards against damage, not against attackers.

use std::fmt;

use sha1::{Digest as _, Sha1};

use crate::id::{parse, write_hex};

/// The SHA-1 of a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1Key([u8; 20]);

impl Sha1Key {
    /// Hash a blob.
    pub fn of(blob: &[u8]) -> Self {
        Self(Sha1::digest(blob).into())
    }

    /// Read exactly 40 lower-case hex digits; `None` for anything else.
    pub fn from_hex(text: &str) -> Option<Self> {
        parse(text).map(Self)
    }

    /// Its file's folder, the first two digits.
    pub(super) fn folder(&self) -> String {
        self.to_string().chars().take(2).collect()
    }

    /// Its file.
    pub(super) fn path(&self) -> String {
        format!("{}/{self}", self.folder())
    }
}

impl fmt::Display for Sha1Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Sha1Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// Hashes bytes as they come.
#[derive(Clone, Default)]
pub(super) struct Hasher(Sha1);

impl Hasher {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> Sha1Key {
        Sha1Key(self.0.finalize().into())
    }
}
