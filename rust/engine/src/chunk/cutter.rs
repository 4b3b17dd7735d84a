//! FastCDC: cut where a hash that rolls over the bytes is small (Xia et al., USENIX ATC 2016; IEEE TPDS 2020).
//!
//! ```text
//! hash = 0
//! for each byte after the first `min`:
//!     hash = hash * 2 + gear[byte]
//!     if hash < limit: cut behind this byte           limit: 2^64 / (4 avg) before the average, 2^64 / (avg / 4) after it
//! cut at `max`
//! ```
//!
//! The limit that changes at the average is the paper's normalised chunking: most chunks come near to it. Our departures:
//!
//! 1. The hash at `min` is not zero but that of the 64 bytes before, all that a 64-bit gear hash remembers. So a place is a cut by its
//!    window and its distance from the chunk's beginning alone, and a changed blob falls back into step sooner.
//! 2. The test is `hash < limit` in place of a mask: also for averages that are no power of two, and on the high bits, which have seen
//!    the whole window.
//! 3. Two lanes. One step takes a shift and an addition that wait for the step before, while the processor could do three times as much.
//!    So each block of 2 KiB is walked in two lanes at once, the second warmed by the 64 bytes before it. A hit in the second lane counts
//!    when the first lane has none. The cuts are those of one lane; the paper's two bytes a step gains less here.

use super::Params;
use super::params::WINDOW;
use crate::Result;

/// The domain of the gear table, see [`gear`].
const GEAR_CONTEXT: &str = "packhouse 2026-11 gear table v1";

/// How many times rarer than one in `avg` a cut is before the average, and how many times more frequent after it.
const NORMALISATION: u64 = 4;

/// Bytes of one of the two lanes of a block: long against the window that warms it, short against a chunk that ends in it.
const LANE: usize = 1024;

/// Bytes of a lane that are hashed without a look at the other.
const STRIDE: usize = 8;

/// Finds the end of a blob's next chunk.
#[derive(Clone)]
pub struct Cutter {
    gear: Box<Gear>,
    min: usize,
    avg: usize,
    max: usize,
    rare: u64,
    frequent: u64,
}

/// What each byte adds to the hash.
#[derive(Clone)]
struct Gear([u64; 256]);

impl Cutter {
    /// A cutter for checked parameters.
    ///
    /// # Errors
    /// `Invalid` / `chunk-sizes`, see [`Params::check`].
    pub fn new(params: &Params) -> Result<Self> {
        params.check()?;
        let avg = u64::from(params.avg);
        let one_in = |n: u64| u64::MAX.checked_div(n).unwrap_or(u64::MAX);
        Ok(Self {
            gear: Box::new(Gear::new(params.seed)),
            min: params.min as usize,
            avg: params.avg as usize,
            max: params.max as usize,
            rare: one_in(avg.saturating_mul(NORMALISATION)),
            frequent: one_in(avg.checked_div(NORMALISATION).unwrap_or(avg)),
        })
    }

    /// The length of the first chunk of `data`, or `None` when more bytes are needed to tell: there must be as many as the largest chunk
    /// has, unless these are the blob's `last`. Never `Some(0)`.
    pub fn cut(&self, data: &[u8], last: bool) -> Option<usize> {
        let data = match data.get(..self.max) {
            Some(data) => data,
            None if last => data,
            None => return None,
        };
        let before = data.get(..self.avg).unwrap_or(data);
        self.gear
            .first_below(before, self.min, self.rare)
            .or_else(|| self.gear.first_below(data, self.avg, self.frequent))
            .or(Some(data.len()))
            .filter(|&len| len > 0)
    }
}

impl Gear {
    /// 256 words: BLAKE3 in its key derivation mode over the seed (8 bytes, little-endian), its output read as little-endian words.
    fn new(seed: u64) -> Self {
        let mut output = blake3::Hasher::new_derive_key(GEAR_CONTEXT).update(&seed.to_le_bytes()).finalize_xof();
        Self(std::array::from_fn(|_| {
            let mut word = [0; 8];
            output.fill(&mut word);
            u64::from_le_bytes(word)
        }))
    }

    #[inline(always)]
    fn roll(&self, hash: u64, byte: u8) -> u64 {
        #[expect(clippy::indexing_slicing, reason = "a byte is below 256: no check is made")]
        (hash << 1).wrapping_add(self.0[byte as usize])
    }

    /// The hash after a window.
    fn warm(&self, window: &[u8]) -> u64 {
        window.iter().fold(0, |hash, &byte| self.roll(hash, byte))
    }

    /// The length of the shortest beginning of `data`, longer than `from` (at least a window), whose hash is below `limit`.
    fn first_below(&self, data: &[u8], from: usize, limit: u64) -> Option<usize> {
        let (skipped, scanned) = data.split_at_checked(from)?;
        let mut hash = self.warm(skipped.last_chunk::<WINDOW>()?);
        let mut passed = from;
        let (blocks, tail) = scanned.as_chunks::<{ 2 * LANE }>();
        for block in blocks {
            match self.block(block, hash, limit) {
                Ok(end) => hash = end,
                Err(hit) => return passed.checked_add(hit),
            }
            passed = passed.saturating_add(block.len());
        }
        passed.checked_add(self.lane(tail, hash, limit)?)
    }

    /// Walk a block in two lanes: the hash behind it, or (`Err`) the length up to its first hit.
    #[inline]
    fn block(&self, block: &[u8; 2 * LANE], hash: u64, limit: u64) -> Result<u64, usize> {
        let (left, right) = block.split_at(LANE);
        let (mut l, mut r) = (hash, self.warm(left.last_chunk::<WINDOW>().unwrap_or(&[0; WINDOW])));
        let (lefts, rights) = (left.as_chunks::<STRIDE>().0, right.as_chunks::<STRIDE>().0);
        let mut walked = 0_usize;
        for (left_stride, right_stride) in lefts.iter().zip(rights) {
            let before = (l, r);
            let mut hit = false;
            for (&a, &b) in left_stride.iter().zip(right_stride) {
                l = self.roll(l, a);
                hit |= l < limit;
                r = self.roll(r, b);
                hit |= r < limit;
            }
            if hit {
                let rest = |lane: &[u8], hash| {
                    self.lane(lane.get(walked..)?, hash, limit).map(|hit| hit.saturating_add(walked))
                };
                let in_right = || rest(right, before.1).map(|hit| hit.saturating_add(LANE));
                return Err(rest(left, before.0).or_else(in_right).unwrap_or(block.len()));
            }
            walked = walked.saturating_add(STRIDE);
        }
        Ok(r)
    }

    /// Walk one lane: the length up to its first hit.
    fn lane(&self, lane: &[u8], mut hash: u64, limit: u64) -> Option<usize> {
        let hit = lane.iter().position(|&byte| {
            hash = self.roll(hash, byte);
            hash < limit
        })?;
        hit.checked_add(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes without a pattern, the same for the same seed.
    fn noise(seed: u64, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
        bytes
    }

    fn small() -> Params {
        Params { min: 256, avg: 1024, max: 4096, seed: 7 }
    }

    fn cuts(cutter: &Cutter, mut data: &[u8]) -> Vec<Vec<u8>> {
        let mut chunks = Vec::new();
        while let Some(len) = cutter.cut(data, true) {
            chunks.push(data[..len].to_vec());
            data = &data[len..];
        }
        chunks
    }

    fn added(params: Params, old: &[u8], new: &[u8]) -> usize {
        let cutter = Cutter::new(&params).unwrap();
        let have: std::collections::HashSet<_> = cuts(&cutter, old).into_iter().collect();
        cuts(&cutter, new).iter().filter(|chunk| !have.contains(*chunk)).map(Vec::len).sum()
    }

    #[test]
    fn an_insertion_into_a_large_blob_is_not_stored_as_a_new_blob() {
        let old = noise(1, 8 << 20);
        let mut new = old.clone();
        new.splice(3_000_001..3_000_001, noise(2, 1024));
        let added = added(Params::default(), &old, &new);
        assert!(added < 600_000, "{added} bytes added");
    }

    #[test]
    fn zeros_and_patterns_cost_a_few_distinct_chunks() {
        let cutter = Cutter::new(&small()).unwrap();
        for period in [1, 2, 3, 7, 64, 100] {
            let data: Vec<u8> = noise(period as u64, period).into_iter().cycle().take(1 << 20).collect();
            let chunks = cuts(&cutter, &data);
            let distinct: std::collections::HashSet<_> = chunks.iter().collect();
            assert!(chunks.len() <= (1 << 20) / 256 + 1);
            assert!(distinct.len() <= period + 2, "{} distinct chunks at period {period}", distinct.len());
        }
    }

    #[test]
    fn chunk_sizes_out_of_order_are_refused() {
        for (min, avg, max) in [(0, 1, 2), (63, 100, 200), (100, 100, 200), (100, 200, 200), (64, 128, 1 << 24)] {
            assert_eq!(Cutter::new(&Params { min, avg, max, seed: 0 }).err().unwrap().cause(), "chunk-sizes");
        }
        assert!(Cutter::new(&Params { min: 64, avg: 65, max: (1 << 24) - 1, seed: 0 }).is_ok());
    }

    #[test]
    fn a_seed_gives_its_own_gear_table() {
        assert_eq!(Gear::new(0).0, Gear::new(0).0);
        assert_ne!(Gear::new(0).0, Gear::new(1).0);
    }

    /// The algorithm as the module's comment states it, one byte at a time.
    fn plain_cut(params: &Params, data: &[u8]) -> usize {
        let gear = Gear::new(params.seed);
        let (min, avg, max) = (params.min as usize, params.avg as usize, params.max as usize);
        for end in min + 1..data.len().min(max) {
            let limit =
                if end <= avg { u64::MAX / (4 * params.avg as u64) } else { u64::MAX / (params.avg as u64 / 4) };
            if gear.warm(&data[end - WINDOW..end]) < limit {
                return end;
            }
        }
        data.len().min(max)
    }

    #[test]
    fn two_lanes_cut_where_one_byte_at_a_time_does() {
        // Sizes that end lanes and blocks everywhere.
        for (min, avg, max) in [(64, 1000, 9000), (2048, 8192, 20_000), (333, 3333, 33_333)] {
            let params = Params { min, avg, max, seed: 3 };
            let cutter = Cutter::new(&params).unwrap();
            let data = noise(5, 1 << 20);
            let mut rest = &data[..];
            while let Some(len) = cutter.cut(rest, true) {
                assert_eq!(len, plain_cut(&params, rest));
                rest = &rest[len..];
            }
        }
    }

    #[test]
    fn the_default_cuts_stay_where_existing_stores_have_them() {
        let cutter = Cutter::new(&Params::default()).unwrap();
        let lens: Vec<_> = cuts(&cutter, &noise(0, 600_000)).iter().map(Vec::len).collect();
        assert_eq!(lens, [53_736, 58_086, 111_918, 86_179, 50_625, 71_186, 55_949, 47_832, 47_264, 17_225]);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn the_same_bytes_are_cut_alike_however_they_arrive(
            seed in 0..u64::MAX, len in 0_usize..60_000, feed in prop::collection::vec(1_usize..9000, 1..8)
        ) {
            let cutter = Cutter::new(&small()).unwrap();
            let data = noise(seed, len);
            let expected = cuts(&cutter, &data);
            let (mut got, mut from, mut upto) = (Vec::new(), 0, 0);
            for step in feed.iter().cycle() {
                while let Some(len) = cutter.cut(&data[from..upto], upto == data.len()) {
                    got.push(data[from..from + len].to_vec());
                    from += len;
                }
                if upto == data.len() {
                    break;
                }
                upto = data.len().min(upto + step);
            }
            prop_assert_eq!(got, expected);
        }

        #[test]
        fn no_chunk_is_too_short_or_too_long(seed in 0..u64::MAX, len in 1_usize..100_000) {
            let chunks = cuts(&Cutter::new(&small()).unwrap(), &noise(seed, len));
            prop_assert_eq!(chunks.iter().map(Vec::len).sum::<usize>(), len);
            let (last, others) = chunks.split_last().unwrap();
            prop_assert!(last.len() <= 4096);
            prop_assert!(others.iter().all(|chunk| (256..=4096).contains(&chunk.len())));
        }

        #[test]
        fn an_insertion_changes_few_chunks(seed in 0..u64::MAX, at in 0_usize..200_000, len in 0_usize..300) {
            let old = noise(seed, 200_000);
            let mut new = old.clone();
            new.splice(at..at, noise(!seed, len));
            let added = added(small(), &old, &new);
            prop_assert!(added <= 40_000, "{} bytes added", added);
        }
    }
}
