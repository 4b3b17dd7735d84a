//! The sizes that chunks aim at. They stand in a store's settings: who changes them finds no duplicates of what was cut before.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Bytes of the rolling hash's window: a cut depends on these many bytes before it, nothing else.
pub(super) const WINDOW: usize = 64;

/// The largest chunk that the format can hold.
const LARGEST: u32 = (1 << 24) - 1;

/// Minimum, average and maximum length of a chunk in bytes, and the seed of the gear table.
///
/// Invariant of checked parameters: 64 ≤ min < avg < max < 2^24.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Params {
    /// No chunk but a blob's last is shorter.
    pub min: u32,
    /// Where cuts become frequent: what most chunks come near to.
    pub avg: u32,
    /// No chunk is longer; a blob up to this length is one chunk.
    pub max: u32,
    /// What the gear table is derived from.
    pub seed: u64,
}

impl Params {
    /// Check the invariant.
    ///
    /// # Errors
    /// `Invalid` / `chunk-sizes` when the sizes are out of order or out of range.
    pub fn check(&self) -> Result<()> {
        let Self { min, avg, max, .. } = *self;
        if (min as usize) < WINDOW || min >= avg || avg >= max || max > LARGEST {
            return Err(Error::invalid(
                "chunk-sizes",
                format!(
                    "chunk sizes must be {WINDOW} <= minimum < average < maximum <= {LARGEST}, not {min}, {avg}, {max}"
                ),
            ));
        }
        Ok(())
    }
}

impl Default for Params {
    /// 16, 48 and 256 KiB, 56 KiB in the mean; see `docs/decisions/001-chunk-parameters.md`.
    fn default() -> Self {
        Self { min: 16 << 10, avg: 48 << 10, max: 256 << 10, seed: 0 }
    }
}
