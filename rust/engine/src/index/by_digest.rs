//! Maps and sets by digest: a digest is uniform already, so its first bytes are hash enough.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};

/// A map whose keys are, or begin with, a digest or an id.
pub(crate) type ByDigest<K, V> = HashMap<K, V, BuildHasherDefault<Prefix>>;
/// A set of the same.
pub(crate) type DigestSet<K> = HashSet<K, BuildHasherDefault<Prefix>>;
/// A map by eight bytes of a digest.
pub(crate) type ByWord<V> = HashMap<u64, V, BuildHasherDefault<Prefix>>;

/// Takes the last eight bytes of each run of bytes, and spreads what little else there is.
#[derive(Debug, Default)]
pub(crate) struct Prefix(u64);

impl Hasher for Prefix {
    fn write(&mut self, bytes: &[u8]) {
        // The last bytes: those of an id are random, too, its first are its writer's.
        let word = bytes.last_chunk().map_or(0, |word| u64::from_le_bytes(*word));
        self.0 = (self.0 ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    fn write_u8(&mut self, n: u8) {
        self.0 = self.0.rotate_left(5) ^ u64::from(n);
    }

    fn write_isize(&mut self, n: isize) {
        self.0 = self.0.rotate_left(5) ^ n.unsigned_abs() as u64;
    }

    fn write_u64(&mut self, n: u64) {
        self.0 = (self.0 ^ n).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    }

    /// The length of an array, the same for all.
    fn write_usize(&mut self, _: usize) {}

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
