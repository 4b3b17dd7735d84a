//! Deflate (RFC 1951): what a sample calls incompressible is stored, everything else compressed for speed.

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use crate::{Error, Result};

/// Bytes in one stored block.
const STORED: usize = 65_535;
/// Bytes of the sample that is compressed to see whether it pays.
const SAMPLE: usize = 4 << 10;

/// The fastest level that compresses.
const LEVEL: i32 = 1;

/// A compressor and its tables.
pub(super) struct Deflater {
    compressor: Compressor,
}

impl Default for Deflater {
    fn default() -> Self {
        Self { compressor: Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default()) }
    }
}

impl Deflater {
    /// Append a complete deflate stream of `raw`.
    pub(super) fn deflate(&mut self, raw: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let start = out.len();
        let stored = stored_len(raw.len());
        if self.pays(raw) {
            // Where it does not fit, it would not have paid.
            out.resize(start.saturating_add(worth(stored)), 0);
            let room = out.get_mut(start..).unwrap_or_default();
            if let Ok(len) = self.compressor.deflate_compress(raw, room) {
                out.truncate(start.saturating_add(len));
                return Ok(());
            }
            out.truncate(start);
        }
        store(raw, out);
        Ok(())
    }

    fn pays(&mut self, raw: &[u8]) -> bool {
        if raw.len() <= SAMPLE.saturating_mul(4) {
            return true;
        }
        let middle = (raw.len() / 2).saturating_sub(SAMPLE);
        let sample = raw.get(middle..middle.saturating_add(SAMPLE)).unwrap_or_default();
        let mut room = vec![0; worth(sample.len())];
        self.compressor.deflate_compress(sample, &mut room).is_ok()
    }
}

/// What compressed bytes may take to be worth their time.
fn worth(len: usize) -> usize {
    len.saturating_sub(len / 8)
}

fn stored_len(raw: usize) -> usize {
    raw.div_ceil(STORED).max(1).saturating_mul(5).saturating_add(raw)
}

/// Append `raw` as it is, in stored blocks.
fn store(raw: &[u8], out: &mut Vec<u8>) {
    out.reserve(stored_len(raw.len()));
    let count = raw.len().div_ceil(STORED).max(1);
    for index in 0..count {
        let start = index.saturating_mul(STORED);
        let block = raw.get(start..start.saturating_add(STORED).min(raw.len())).unwrap_or_default();
        let [low, high] = u16::try_from(block.len()).unwrap_or(u16::MAX).to_le_bytes();
        out.extend_from_slice(&[u8::from(index.saturating_add(1) == count), low, high, !low, !high]);
        out.extend_from_slice(block);
    }
}

/// CRC-32 as gzip has it.
pub(super) fn checksum(bytes: &[u8]) -> u32 {
    libdeflater::crc32(bytes)
}

/// Inflate a whole stream into memory of its content's length.
///
/// The stream's end is found by the decoder; bytes behind it are not looked at, the content's hash decides.
pub(super) fn inflate(decompressor: &mut Decompressor, stream: &[u8], memory: &mut [u8]) -> Result<()> {
    match decompressor.deflate_decompress(stream, memory) {
        Ok(len) if len == memory.len() => Ok(()),
        _ => Err(Error::corrupt("gzip-file", "the compressed bytes do not hold what their header says")),
    }
}
