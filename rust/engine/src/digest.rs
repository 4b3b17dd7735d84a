//! BLAKE3: the key of a blob, the digest of a chunk and of a recipe node.
//!
//! One large input is hashed on several threads along BLAKE3's own tree: the input is cut into pieces of [`PIECE`] bytes, each the leaf
//! side of a complete subtree; their chaining values are computed wherever a thread is free, and merged in order by one. The result is
//! the ordinary BLAKE3 hash. No thread pool: threads live as long as one call, so nothing survives a fork.

use std::fmt;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use blake3::Hasher;
use blake3::hazmat::{ChainingValue, HasherExt, Mode, merge_subtrees_non_root, merge_subtrees_root};

use crate::id::{parse, write_hex};
use crate::{Error, Result};

/// What one thread takes at a time. A power of two of at least 1 KiB, so that a piece is a whole subtree.
const PIECE: usize = 128 << 10;

/// Below this, starting a thread costs more than it brings.
const WORTH_A_THREAD: usize = 1 << 20;

/// The domain of recipe nodes: no blob's key can pass for one.
const NODE_CONTEXT: &str = "packhouse 2026-11 recipe node v1";

/// A BLAKE3-256 hash. Ordered by its bytes, as index entries are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// Take 32 bytes for a digest.
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Read a key: exactly 64 lower-case hex digits.
    ///
    /// # Errors
    /// `Invalid` / `not-a-key` for any other text.
    pub fn from_hex(text: &str) -> Result<Self> {
        parse(text).map(Self).ok_or_else(|| {
            let shown: String = text.chars().take(80).collect();
            Error::invalid("not-a-key", format!("a key is 64 lower-case hex digits, not {shown:?}"))
        })
    }

    /// The first eight bytes as a big-endian number: what buckets and filter blocks are chosen by. Orders as the digest does.
    pub const fn prefix(&self) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.0;
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_hex(&self.0, f)
    }
}

/// Hash a blob or a chunk on the calling thread.
pub fn hash(bytes: &[u8]) -> Digest {
    Digest(*blake3::hash(bytes).as_bytes())
}

/// Copy bytes and hash the copy, piece by piece, so that what is hashed is in the cache still.
pub fn copy_and_hash(bytes: &[u8]) -> (Vec<u8>, Digest) {
    let mut copy = Vec::with_capacity(bytes.len());
    let mut hasher = Hasher::new();
    for piece in bytes.chunks(PIECE) {
        let done = copy.len();
        copy.extend_from_slice(piece);
        hasher.update(copy.get(done..).unwrap_or_default());
    }
    (copy, Digest(*hasher.finalize().as_bytes()))
}

/// Hash one large input on up to `threads` threads, the calling one among them. Equal to [`hash`].
pub fn hash_parallel(bytes: &[u8], threads: usize) -> Digest {
    if threads < 2 || bytes.len() < WORTH_A_THREAD {
        return hash(bytes);
    }
    let mut hasher = StreamHasher::new();
    hasher.update_parallel(bytes, threads);
    hasher.finish()
}

/// Hash a recipe node, in a domain of its own.
pub fn hash_node(bytes: &[u8]) -> Digest {
    Digest(blake3::derive_key(NODE_CONTEXT, bytes))
}

/// Hashes bytes as they arrive, on one thread or, piece by piece, on several.
///
/// Invariant: `whole` complete pieces lie behind `piece`, which is never empty once bytes came: a piece stays open until the next byte
/// proves that it is not the last. `subtrees` holds the chaining values of the largest complete subtrees behind it, left to right, one for
/// each one bit of `whole`.
#[derive(Clone)]
pub struct StreamHasher {
    piece: Hasher,
    filled: usize,
    whole: u64,
    subtrees: Vec<ChainingValue>,
}

impl StreamHasher {
    /// A hasher that has seen nothing.
    pub fn new() -> Self {
        Self { piece: Hasher::new(), filled: 0, whole: 0, subtrees: Vec::new() }
    }

    /// Hash the next bytes on the calling thread.
    pub fn update(&mut self, mut bytes: &[u8]) {
        loop {
            let room = PIECE.saturating_sub(self.filled);
            let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            self.piece.update(now);
            self.filled = self.filled.saturating_add(now.len());
            if later.is_empty() {
                return;
            }
            let value = self.piece.finalize_non_root();
            self.push(value);
            self.piece = piece_at(self.whole);
            self.filled = 0;
            bytes = later;
        }
    }

    /// Hash the next bytes on up to `threads` threads, the calling one among them. Worth it from about a mebibyte on; the same hash.
    pub fn update_parallel(&mut self, bytes: &[u8], threads: usize) {
        if threads < 2 || bytes.len() < WORTH_A_THREAD {
            return self.update(bytes);
        }
        let room = PIECE.saturating_sub(self.filled);
        let (now, later) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
        self.update(now);
        // The last byte stays behind, so that the last piece is an open one.
        let Some((_, most)) = later.split_last() else { return };
        let (pieces, _) = most.as_chunks::<PIECE>();
        let value = self.piece.finalize_non_root();
        self.push(value);
        for value in subtrees(pieces, self.whole, threads) {
            self.push(value);
        }
        self.piece = piece_at(self.whole);
        self.filled = 0;
        self.update(later.get(pieces.as_flattened().len()..).unwrap_or_default());
    }

    /// The hash of all bytes so far; more may follow.
    pub fn finish(&self) -> Digest {
        let mut above = self.subtrees.iter().rev();
        let Some(mut left) = above.next() else {
            return Digest(*self.piece.finalize().as_bytes());
        };
        let mut right = self.piece.finalize_non_root();
        for next in above {
            right = merge_subtrees_non_root(left, &right, Mode::Hash);
            left = next;
        }
        Digest(*merge_subtrees_root(left, &right, Mode::Hash).as_bytes())
    }

    /// Append the chaining value of a complete piece that is known not to be the last.
    fn push(&mut self, value: ChainingValue) {
        self.subtrees.push(value);
        self.whole = self.whole.saturating_add(1);
        // More follows, so no merge here is the root's; as many subtrees stay as `whole` has one bits.
        while self.subtrees.len() > self.whole.count_ones() as usize {
            let (Some(right), Some(left)) = (self.subtrees.pop(), self.subtrees.pop()) else { break };
            self.subtrees.push(merge_subtrees_non_root(&left, &right, Mode::Hash));
        }
    }
}

impl Default for StreamHasher {
    fn default() -> Self {
        Self::new()
    }
}

/// A hasher for the piece that follows `before` others.
fn piece_at(before: u64) -> Hasher {
    let mut hasher = Hasher::new();
    hasher.set_input_offset(before.saturating_mul(PIECE as u64));
    hasher
}

/// The chaining values of complete pieces that follow `before` others, in order.
fn subtrees(pieces: &[[u8; PIECE]], before: u64, threads: usize) -> Vec<ChainingValue> {
    let next = AtomicUsize::new(0);
    let work = || {
        let mut done = Vec::new();
        loop {
            let i = next.fetch_add(1, Ordering::Relaxed);
            let Some(piece) = pieces.get(i) else { return done };
            done.push((i, piece_at(before.saturating_add(i as u64)).update(piece).finalize_non_root()));
        }
    };
    let mut values = vec![[0; 32]; pieces.len()];
    let mut place = |done: Vec<(usize, ChainingValue)>| {
        for (i, value) in done {
            if let Some(slot) = values.get_mut(i) {
                *slot = value;
            }
        }
    };
    thread::scope(|scope| {
        let others = threads.min(pieces.len()).saturating_sub(1);
        // A thread that cannot be started is done without: the others take its pieces.
        let helpers: Vec<_> =
            (0..others).map_while(|_| thread::Builder::new().spawn_scoped(scope, work).ok()).collect();
        place(work());
        for helper in helpers {
            place(helper.join().unwrap_or_else(|panic| resume_unwind(panic)));
        }
    });
    values
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn bytes(len: usize) -> Vec<u8> {
        // The input of BLAKE3's official test vectors.
        (0..len).map(|i| (i % 251) as u8).collect()
    }

    #[test]
    fn a_key_is_what_b3sum_prints() {
        for (len, hex) in [
            (0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"),
            (1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"),
            (1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"),
            (1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"),
            (102_400, "bc3e3d41a1146b069abffad3c0d44860cf664390afce4d9661f7902e7943e085"),
        ] {
            assert_eq!(hash(&bytes(len)).to_string(), hex);
            let mut stream = StreamHasher::new();
            stream.update(&bytes(len));
            assert_eq!(stream.finish().to_string(), hex);
        }
    }

    #[test]
    fn a_key_does_not_depend_on_the_number_of_threads() {
        let data = bytes((8 << 20) + 7);
        let mut lens = vec![0, 1, 1023, 1024, 1025, WORTH_A_THREAD - 1, WORTH_A_THREAD, WORTH_A_THREAD + 1, data.len()];
        for pieces in 1..20 {
            for len in [pieces * PIECE, pieces * PIECE + 1, pieces * PIECE - 1, pieces * PIECE + 1024] {
                lens.push(len);
                lens.push((1 << 20) + len);
            }
        }
        for len in lens {
            let data = &data[..len];
            let expected = hash(data);
            for threads in [0, 1, 2, 3, 8] {
                assert_eq!(hash_parallel(data, threads), expected, "{len} bytes on {threads} threads");
            }
            let mut stream = StreamHasher::new();
            stream.update(data);
            assert_eq!(stream.finish(), expected, "{len} bytes streamed");
        }
    }

    #[test]
    fn a_recipe_node_never_has_the_key_of_a_blob() {
        let node = hash_node(b"node");
        assert_ne!(node, hash(b"node"));
        assert_eq!(node.as_bytes(), &blake3::derive_key(NODE_CONTEXT, b"node"));
    }

    #[test]
    fn only_64_lower_case_hex_digits_are_a_key() {
        let key = hash(b"packhouse");
        assert_eq!(Digest::from_hex(&key.to_string()).unwrap(), key);
        let hex = key.to_string();
        for bad in ["", &hex[1..], &format!("{hex}0"), &hex.to_uppercase(), &hex.replace(&hex[..1], "g")] {
            assert_eq!(Digest::from_hex(bad).unwrap_err().cause(), "not-a-key");
        }
        assert_eq!(key.prefix().to_be_bytes(), key.as_bytes()[..8]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn a_key_does_not_depend_on_how_bytes_arrive(
            parts in prop::collection::vec((0_usize..2_500_000, 1_usize..5), 0..6),
            trim in 0_usize..3,
        ) {
            let parts: Vec<_> = parts.into_iter().map(|(len, threads)| match trim {
                0 => (len, threads),
                1 => (len / PIECE * PIECE, threads),
                _ => (len / 1024 * 1024, threads),
            }).collect();
            let data = bytes(parts.iter().map(|part| part.0).sum());
            let mut stream = StreamHasher::new();
            let mut at = 0;
            for (len, threads) in parts {
                stream.update_parallel(&data[at..at + len], threads);
                at += len;
                prop_assert_eq!(stream.finish(), hash(&data[..at]));
            }
        }
    }
}
