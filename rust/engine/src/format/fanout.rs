//! The fan-out: for buckets of about 32 neighbouring keys, where in the sorted rows each begins.

use super::block;
use super::cursor::What;
use super::filter::scale;
use crate::{Digest, Result};

/// Bytes of a value.
pub const VALUE: usize = 4;
/// Buckets that a full block covers. It holds one value more: where its last bucket ends.
pub const BUCKETS_PER_BLOCK: u64 = 1022;
const KEYS_PER_BUCKET: u64 = 32;
const WHAT: What = What("segment-block", "fan-out block");

/// How many buckets the fan-out of a number of rows has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FanoutShape {
    count: u64,
    buckets: u64,
}

impl FanoutShape {
    /// The shape for `count` rows.
    pub fn new(count: u64) -> Self {
        Self { count, buckets: count.div_ceil(KEYS_PER_BUCKET) }
    }

    /// Buckets in all.
    pub fn buckets(&self) -> u64 {
        self.buckets
    }

    /// The bucket of a key; buckets ascend with keys.
    pub fn bucket(&self, key: &Digest) -> u64 {
        scale(key.prefix(), self.buckets)
    }

    /// The block that covers a bucket, and the bucket's place in it.
    pub fn block_of(&self, bucket: u64) -> (u64, usize) {
        (bucket / BUCKETS_PER_BLOCK, usize::try_from(bucket % BUCKETS_PER_BLOCK).unwrap_or(0))
    }

    /// The ranks of the rows in the bucket at `place` of a block, by the block's opened body.
    ///
    /// # Errors
    /// `segment-block`: the values are not there or make no sense.
    pub fn ranks(&self, body: &[u8], place: usize) -> Result<std::ops::Range<u64>> {
        let values = body.as_chunks::<VALUE>().0;
        let value = |place: usize| values.get(place).map(|bytes| u64::from(u32::from_le_bytes(*bytes)));
        match (value(place), value(place.saturating_add(1))) {
            (Some(start), Some(end)) if start <= end && end <= self.count => Ok(start..end),
            _ => Err(WHAT.bad("has no sensible ranks for a bucket")),
        }
    }
}

/// Takes the keys of a section in ascending order and makes its fan-out.
#[derive(Clone, Debug)]
pub struct FanoutBuilder {
    shape: FanoutShape,
    /// Where each bucket begins, as far as keys came.
    starts: Vec<u32>,
    seen: u32,
}

impl FanoutBuilder {
    /// A fan-out for `count` rows.
    pub fn new(count: u64) -> Self {
        Self { shape: FanoutShape::new(count), starts: Vec::new(), seen: 0 }
    }

    /// The next row's key.
    ///
    /// # Errors
    /// `too-large`: more rows than were announced.
    pub fn push(&mut self, key: &Digest) -> Result<()> {
        let bucket = usize::try_from(self.shape.bucket(key)).map_err(|_| WHAT.too_large("bucket"))?;
        if bucket >= self.starts.len() {
            self.starts.resize(bucket.saturating_add(1), self.seen);
        }
        self.seen = self
            .seen
            .checked_add(1)
            .filter(|seen| u64::from(*seen) <= self.shape.count)
            .ok_or_else(|| WHAT.too_large("row"))?;
        Ok(())
    }

    /// Append the section's blocks; `sum` gets the checksum of each.
    ///
    /// # Errors
    /// `too-large`: fewer rows came than were announced.
    pub fn finish(mut self, out: &mut Vec<u8>, sum: &mut block::SegmentSum) -> Result<()> {
        if u64::from(self.seen) != self.shape.count {
            return Err(WHAT.too_large("number of rows: another was announced"));
        }
        let buckets = usize::try_from(self.shape.buckets).map_err(|_| WHAT.too_large("bucket"))?;
        if buckets == 0 {
            return Ok(());
        }
        // The end of the last bucket stands behind its start.
        self.starts.resize(buckets.saturating_add(1), self.seen);
        let per_block = usize::try_from(BUCKETS_PER_BLOCK).unwrap_or(1);
        let mut first = 0_usize;
        while first < buckets {
            let next = first.saturating_add(per_block).min(buckets);
            let values = self.starts.get(first..=next).unwrap_or_default();
            let body: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            sum.add(block::seal(&body, body.len().saturating_add(block::CRC), out)?);
            first = next;
        }
        Ok(())
    }
}
