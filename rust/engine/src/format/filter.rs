//! The filter: twelve bits per key that say "not here" without reading further. One 64-byte line answers for a key.

use super::block;
use super::cursor::What;
use crate::{Digest, Result};

/// Bytes of a line.
pub const LINE: usize = 64;
/// Lines of a full block.
pub const LINES_PER_BLOCK: u64 = 63;
/// Bits set and asked for per key.
pub const PROBES: usize = 7;
const BITS_PER_KEY: u64 = 12;
const LINE_BITS: u64 = 512;
const WHAT: What = What("segment-block", "filter block");

/// How many lines and blocks the filter of a number of keys has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FilterShape {
    blocks: u64,
    lines_in_block: u64,
}

/// Where a key's bits are. `bits[i]` is bit `bits[i] % 8` of byte `bits[i] / 8` of the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probe {
    /// The block of the filter section.
    pub block: u64,
    /// The line in the block.
    pub line: usize,
    /// The bits in the line.
    pub bits: [u16; PROBES],
}

impl FilterShape {
    /// The shape for `keys` keys, chunk entries and blob entries together. No keys, no filter.
    pub fn new(keys: u64) -> Self {
        let lines = keys.saturating_mul(BITS_PER_KEY).div_ceil(LINE_BITS);
        let blocks = lines.div_ceil(LINES_PER_BLOCK);
        Self { blocks, lines_in_block: if blocks > 1 { LINES_PER_BLOCK } else { lines } }
    }

    /// Blocks of the section.
    pub fn blocks(&self) -> u64 {
        self.blocks
    }

    /// Lines of the section.
    pub fn lines(&self) -> u64 {
        self.blocks.saturating_mul(self.lines_in_block)
    }

    /// Where `key` is noted. Blocks ascend with keys. In an empty filter there is no such block.
    pub fn locate(&self, key: &Digest) -> Probe {
        let [_, line, bits, _] = words(key);
        Probe {
            block: scale(key.prefix(), self.blocks),
            line: usize::try_from(scale(line, self.lines_in_block)).unwrap_or(usize::MAX),
            bits: std::array::from_fn(|i| {
                let group = bits.checked_shr(u32::try_from(i).unwrap_or(0).saturating_mul(9)).unwrap_or(0);
                u16::try_from(group % LINE_BITS).unwrap_or(0)
            }),
        }
    }
}

/// A key made ready to be asked for in many filters: all but the place of its line is the same in each.
#[derive(Clone, Copy, Debug)]
pub struct KeyBits {
    prefix: u64,
    line: u64,
    mask: [u64; 8],
}

impl KeyBits {
    /// Make a key ready.
    pub fn of(key: &Digest) -> Self {
        let [_, line, bits, _] = words(key);
        let mut mask = [0_u64; 8];
        for i in 0..PROBES {
            let bit = bits.checked_shr(u32::try_from(i).unwrap_or(0).saturating_mul(9)).unwrap_or(0) % LINE_BITS;
            if let Some(word) = mask.get_mut(usize::try_from(bit / 64).unwrap_or(0)) {
                *word |= 1 << (bit % 64);
            }
        }
        Self { prefix: key.prefix(), line, mask }
    }

    /// Its block in a filter of this shape, and the line in the block.
    #[inline]
    pub fn place(&self, shape: &FilterShape) -> (u64, usize) {
        let line = scale(self.line, shape.lines_in_block);
        (scale(self.prefix, shape.blocks), usize::try_from(line).unwrap_or(usize::MAX))
    }

    /// Whether a line has all its bits: `false` is certain.
    #[inline]
    pub fn are_in(&self, line: &[u8; LINE]) -> bool {
        let words = line.as_chunks::<8>().0;
        // Without a branch: the lines of many filters can be on their way from memory at once.
        words.iter().zip(self.mask).fold(0, |missing, (word, mask)| missing | (mask & !u64::from_le_bytes(*word))) == 0
    }
}

impl Probe {
    /// Whether the key may be in the segment, by the opened body of its block: `false` is certain.
    ///
    /// # Errors
    /// `segment-block`: the block has no such line.
    pub fn may_hold(&self, body: &[u8]) -> Result<bool> {
        let Some(line) = body.as_chunks::<LINE>().0.get(self.line) else {
            return Err(WHAT.bad("holds fewer lines than its segment's name says"));
        };
        Ok(self.bits.iter().all(|bit| line.get(usize::from(bit / 8)).is_some_and(|byte| byte & (1 << (bit % 8)) != 0)))
    }
}

/// Collects keys, in any order, and makes the section's blocks.
#[derive(Clone, Debug)]
pub struct FilterBuilder {
    shape: FilterShape,
    lines: Vec<[u8; LINE]>,
}

impl FilterBuilder {
    /// A filter for `keys` keys. Takes 12 bits of memory for each.
    ///
    /// # Errors
    /// `too-large`: more keys than memory can address.
    pub fn new(keys: u64) -> Result<Self> {
        let shape = FilterShape::new(keys);
        let lines = usize::try_from(shape.lines()).map_err(|_| WHAT.too_large("number of keys"))?;
        Ok(Self { shape, lines: vec![[0; LINE]; lines] })
    }

    /// Note a key.
    pub fn insert(&mut self, key: &Digest) {
        let Probe { block, line, bits } = self.shape.locate(key);
        let line =
            usize::try_from(block.saturating_mul(self.shape.lines_in_block)).unwrap_or(usize::MAX).saturating_add(line);
        if let Some(line) = self.lines.get_mut(line) {
            for bit in bits {
                if let Some(byte) = line.get_mut(usize::from(bit / 8)) {
                    *byte |= 1 << (bit % 8);
                }
            }
        }
    }

    /// Append the section's blocks; `sum` gets the checksum of each.
    ///
    /// # Errors
    /// None in practice: the shape fits its blocks.
    pub fn finish(&self, out: &mut Vec<u8>, sum: &mut block::SegmentSum) -> Result<()> {
        let per_block = usize::try_from(self.shape.lines_in_block).unwrap_or(1).max(1);
        for lines in self.lines.chunks(per_block) {
            let body = lines.as_flattened();
            let len = if self.shape.blocks > 1 { block::BLOCK } else { body.len().saturating_add(block::CRC) };
            sum.add(block::seal(body, len, out)?);
        }
        Ok(())
    }
}

/// The four words of a key, little-endian; the first is used big-endian, as [`Digest::prefix`], so that blocks ascend with keys.
fn words(key: &Digest) -> [u64; 4] {
    let mut words = [0; 4];
    for (word, bytes) in words.iter_mut().zip(key.as_bytes().as_chunks::<8>().0) {
        *word = u64::from_le_bytes(*bytes);
    }
    words
}

/// Spread a uniform word over `0..n`, keeping order.
pub(super) fn scale(word: u64, n: u64) -> u64 {
    let product = u128::from(word).saturating_mul(u128::from(n));
    u64::try_from(product >> 64).unwrap_or(u64::MAX)
}
