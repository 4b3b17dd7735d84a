//! From a chunk to a frame's payload.

use std::borrow::Cow;

use super::frames::{self, Frames};
use super::{Codec, group, sample};

use crate::{Error, Result};

/// Shorter chunks are never worth a frame of zstd.
const SHORTEST: usize = 64;

/// What a chunk became.
pub struct Encoded<'a> {
    /// How the payload is compressed.
    pub codec: Codec,
    /// The width of its byte grouping: 0 (none), 2, 4 or 8.
    pub group: u8,
    /// The bytes to store: the chunk itself, or its compressed form.
    pub payload: Cow<'a, [u8]>,
}

/// Encodes chunks, its zstd context and its buffers reused from one to the next.
pub struct Encoder {
    frames: Frames,
    grouped: Vec<u8>,
}

impl Encoder {
    /// An encoder at a zstd level.
    ///
    /// # Errors
    /// `Invalid` / `level` for a level that zstd does not have.
    pub fn new(level: i32) -> Result<Self> {
        let levels = zstd::compression_level_range();
        if !levels.contains(&level) {
            return Err(Error::invalid(
                "level",
                format!("a compression level is between {} and {}, not {level}", levels.start(), levels.end()),
            ));
        }
        Ok(Self { frames: Frames::new(level)?, grouped: Vec::new() })
    }

    /// Encode a chunk as its sample says, or leave it as it is where that saves too little. The same chunk is always encoded alike.
    ///
    /// # Errors
    /// `Io` when zstd has no memory.
    pub fn encode<'a>(&mut self, raw: &'a [u8]) -> Result<Encoded<'a>> {
        let as_is = Encoded { codec: Codec::Raw, group: 0, payload: Cow::Borrowed(raw) };
        if raw.len() < SHORTEST || sample::looks_random(raw) {
            return Ok(as_is);
        }
        let group = self.width(raw)?;
        self.write(raw, group)?;
        let payload = self.frames.written();
        if payload.len() < pays_below(raw.len()) {
            Ok(Encoded { codec: Codec::Zstd, group, payload: Cow::Owned(payload.to_vec()) })
        } else {
            Ok(as_is)
        }
    }

    /// The width to group by, or 0.
    fn width(&mut self, raw: &[u8]) -> Result<u8> {
        let width = sample::word_width(raw);
        if width == 0 || !sample::repeats(raw) {
            return Ok(width);
        }
        // Numbers, but with repetitions that grouping may tear apart: try both. Grouped ones are faster to compress.
        let tried = sample::stretch(raw, (raw.len() / 8).clamp(1024, 4096));
        self.write(tried, 0)?;
        let plain = self.frames.written().len();
        self.write(tried, width)?;
        let grouped = self.frames.written().len().saturating_sub(usize::from(width).saturating_mul(frames::OVERHEAD));
        Ok(if grouped <= plain.saturating_add(plain / 8) { width } else { 0 })
    }

    /// Fill `frames` with the compressed form of `raw`.
    fn write(&mut self, raw: &[u8], width: u8) -> Result<()> {
        self.frames.clear();
        if width == 0 {
            return self.frames.compress(raw);
        }
        if self.grouped.len() < raw.len() {
            self.grouped.resize(raw.len(), 0);
        }
        let grouped = self.grouped.get_mut(..raw.len()).unwrap_or_default();
        group::group(raw, width, grouped);
        self.frames.compress_lanes(grouped, usize::from(width))
    }
}

/// What a compressed form must be shorter than: a reader decodes it each time, for less than 3 % it is left alone.
fn pays_below(len: usize) -> usize {
    len.saturating_sub(len / 32)
}
