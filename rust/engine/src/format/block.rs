//! Blocks: the unit that a look-up reads and checks. At most 4096 bytes, the last four of them the crc of the others.

use super::cursor::{What, crc};
use crate::Result;

/// Bytes of a full block.
pub const BLOCK: usize = 4096;
/// Bytes of a full block before its checksum.
pub const BLOCK_BODY: usize = BLOCK - CRC;
/// Bytes of a block's checksum.
pub const CRC: usize = 4;
pub(super) const WHAT: What = What("segment-block", "block of a segment");

/// Append `body` as a block of exactly `len` bytes: zeros behind the body as far as needed, then the checksum, which is returned.
///
/// # Errors
/// `too-large`: the body does not fit.
pub fn seal(body: &[u8], len: usize, out: &mut Vec<u8>) -> Result<u32> {
    let padding = len.checked_sub(CRC).and_then(|room| room.checked_sub(body.len()));
    let (Some(padding), true) = (padding, len <= BLOCK) else {
        return Err(WHAT.too_large("body"));
    };
    let start = out.len();
    out.extend_from_slice(body);
    out.extend(std::iter::repeat_n(0, padding));
    let sum = crc(out.get(start..).unwrap_or_default());
    out.extend_from_slice(&sum.to_le_bytes());
    Ok(sum)
}

/// The body of a block, padding included, once its checksum was held against it.
///
/// # Errors
/// `segment-block`: it is not what was written.
pub fn open(block: &[u8]) -> Result<&[u8]> {
    // No block is empty; the checksum of nothing is 0, which the first bytes of many a cut block are.
    let Some((body, sum)) = block.split_last_chunk::<CRC>().filter(|(body, _)| !body.is_empty()) else {
        return Err(WHAT.bad("is cut short"));
    };
    if crc(body) != u32::from_le_bytes(*sum) {
        return Err(WHAT.bad("does not match its checksum"));
    }
    Ok(body)
}

/// The checksum that stands at a block's end, unchecked; what [`SegmentSum`] takes.
pub fn sum_of(block: &[u8]) -> Option<u32> {
    block.last_chunk().map(|sum| u32::from_le_bytes(*sum))
}

/// Sums up the checksums of all blocks of a segment, in their order in the file, for its trailer.
#[derive(Clone, Debug, Default)]
pub struct SegmentSum(blake3::Hasher);

impl SegmentSum {
    /// Nothing summed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// The next block's checksum.
    pub fn add(&mut self, block_sum: u32) {
        self.0.update(&block_sum.to_le_bytes());
    }

    /// The first 16 bytes of the BLAKE3 of all of them.
    pub fn finish(&self) -> [u8; 16] {
        self.0.finalize().as_bytes().first_chunk().copied().unwrap_or_default()
    }
}
