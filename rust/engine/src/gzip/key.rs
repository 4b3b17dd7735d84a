//! SHA-1 of a content as 40 hex digits: a name that Metaflow computes too. It guards against damage, not against attackers.

use std::fmt;

use sha1::{Digest as _, Sha1};

use crate::id::{parse, write_hex};
use crate::{Cancel, Result};

/// Bytes that are hashed before it is seen whether the caller still wants it: some milliseconds.
const PATIENCE: usize = 8 * 1024 * 1024;

/// The SHA-1 of a blob.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1Key([u8; 20]);

impl Sha1Key {
    /// Hash a blob.
    pub fn of(blob: &[u8]) -> Self {
        Self(Sha1::digest(blob).into())
    }

    /// Hash a blob, unless asked to stop.
    pub(super) fn of_unless(blob: &[u8], cancel: &Cancel) -> Result<Self> {
        let mut hasher = Hasher::default();
        for piece in blob.chunks(PATIENCE) {
            cancel.check()?;
            hasher.update(piece);
        }
        Ok(hasher.finish())
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
