//! FastCDC (Xia et al., USENIX ATC 2016; IEEE TPDS 2020): a gear hash rolls over the bytes, a cut is where it is small.

use super::Params;
use super::params::WINDOW;
use crate::Result;

const GEAR_CONTEXT: &str = "packhouse 2026-11 gear table v1";

/// How many times rarer than one in `avg` a cut is before the average, and how many times more frequent after it.
const NORMALISATION: u64 = 4;

/// Finds the end of a blob's next chunk.
pub struct Cutter {
    gear: Box<[u64; 256]>,
    min: usize,
    avg: usize,
    max: usize,
    rare: u64,
    frequent: u64,
}

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
            gear: gear(params.seed),
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
        self.find(before, self.min, self.rare)
            .or_else(|| self.find(data, self.avg, self.frequent))
            .or(Some(data.len()))
            .filter(|&len| len > 0)
    }

    /// The first cut of `data` after `from` bytes.
    fn find(&self, data: &[u8], from: usize, limit: u64) -> Option<usize> {
        let start = from.checked_sub(WINDOW)?;
        let (warm, scan) = data.get(start..)?.split_at_checked(WINDOW)?;
        let mut hash = 0_u64;
        for &byte in warm {
            hash = self.roll(hash, byte);
        }
        for (i, &byte) in scan.iter().enumerate() {
            hash = self.roll(hash, byte);
            if hash < limit {
                return from.checked_add(i)?.checked_add(1);
            }
        }
        None
    }

    #[inline(always)]
    fn roll(&self, hash: u64, byte: u8) -> u64 {
        #[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
        (hash << 1).wrapping_add(self.gear[byte as usize])
    }
}

/// 256 words: BLAKE3 in its key derivation mode over the seed (8 bytes, little-endian), its output read as little-endian words.
fn gear(seed: u64) -> Box<[u64; 256]> {
    let mut output = blake3::Hasher::new_derive_key(GEAR_CONTEXT).update(&seed.to_le_bytes()).finalize_xof();
    let mut table = Box::new([0; 256]);
    for word in table.iter_mut() {
        let mut bytes = [0; 8];
        output.fill(&mut bytes);
        *word = u64::from_le_bytes(bytes);
    }
    table
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
        assert_eq!(gear(0), gear(0));
        assert_ne!(gear(0), gear(1));
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
