//! From a chunk to a frame's payload.

use std::borrow::Cow;

use zstd::bulk::Compressor;
use zstd::zstd_safe;

use super::{Codec, group, sample};
use crate::{Error, Result};

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
    zstd: Compressor<'static>,
    compressed: Vec<u8>,
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
        let zstd = Compressor::new(level).map_err(|e| Error::io("make", "a zstd context", e))?;
        Ok(Self { zstd, compressed: Vec::new(), grouped: Vec::new() })
    }

    /// Encode a chunk as its sample says, or leave it as it is where that saves too little.
    ///
    /// # Errors
    /// `Io` when zstd has no memory.
    pub fn encode<'a>(&mut self, raw: &'a [u8]) -> Result<Encoded<'a>> {
        let as_is = Encoded { codec: Codec::Raw, group: 0, payload: Cow::Borrowed(raw) };
        if raw.len() < 64 || sample::looks_random(raw) {
            return Ok(as_is);
        }
        let width = self.width(raw)?;
        self.grouped.resize(raw.len(), 0);
        let input = if width == 0 {
            raw
        } else {
            group::group(raw, width, &mut self.grouped);
            &self.grouped
        };
        let len = compress(&mut self.zstd, input, &mut self.compressed)?;
        match self.compressed.get(..len) {
            Some(payload) if len < pays_below(raw.len()) => {
                Ok(Encoded { codec: Codec::Zstd, group: width, payload: Cow::Owned(payload.to_vec()) })
            }
            _ => Ok(as_is),
        }
    }

    fn width(&mut self, _raw: &[u8]) -> Result<u8> {
        Ok(0)
    }
}

/// What a compressed form must be shorter than: a reader decodes it each time, for less than 3 % it is left alone.
fn pays_below(len: usize) -> usize {
    len.saturating_sub(len / 32)
}

fn compress(zstd: &mut Compressor<'static>, input: &[u8], out: &mut Vec<u8>) -> Result<usize> {
    out.clear();
    out.reserve(zstd_safe::compress_bound(input.len()));
    zstd.compress_to_buffer(input, out).map_err(|e| Error::io("compress", "a chunk", e))
}
