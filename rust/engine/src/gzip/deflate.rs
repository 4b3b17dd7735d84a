//! Deflate (RFC 1951), for speed: a sample tells whether a piece is stored as it is, coded byte by byte, or searched for repetition.

use libdeflater::{CompressionLvl, Compressor, Decompressor};

use super::literals::{self, Plan};
use crate::{Error, Result};

/// Bytes in one stored block.
const STORED: usize = 65_535;
/// Bytes of the sample that is compressed to see whether it pays, at most; of small pieces a quarter.
const SAMPLE: usize = 4 << 10;
/// A smaller sample tells nothing: such pieces are compressed.
const SMALLEST_SAMPLE: usize = 1 << 10;

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
    pub(super) fn deflate(&mut self, raw: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        let enough = worth(stored_len(raw.len()));
        match self.way(raw) {
            Way::Stored => {}
            Way::Literals => {
                let plan = Plan::of(raw);
                if plan.bytes() <= enough {
                    plan.write(raw, out);
                    return;
                }
            }
            Way::Repeats => {
                // Where it does not fit, it would not have paid.
                out.resize(start.saturating_add(enough), 0);
                let room = out.get_mut(start..).unwrap_or_default();
                if let Ok(len) = self.compressor.deflate_compress(raw, room) {
                    out.truncate(start.saturating_add(len));
                    return;
                }
                out.truncate(start);
            }
        }
        store(raw, out);
    }

    fn way(&mut self, raw: &[u8]) -> Way {
        let len = SAMPLE.min(raw.len() / 4);
        if len < SMALLEST_SAMPLE {
            return Way::Repeats;
        }
        let middle = (raw.len() / 2).saturating_sub(len);
        let sample = raw.get(middle..middle.saturating_add(len)).unwrap_or_default();
        let mut room = vec![0; worth(sample.len())];
        let Ok(searched) = self.compressor.deflate_compress(sample, &mut room) else { return Way::Stored };
        // What shrinks by half or more is full of repeats, of which a code for single bytes sees nothing.
        let few_repeats = searched > sample.len() / 2;
        let counted = literals::entropy_bytes(sample);
        if few_repeats && counted <= searched.saturating_add(searched / 8) { Way::Literals } else { Way::Repeats }
    }
}

/// How a piece is written.
enum Way {
    Stored,
    Literals,
    Repeats,
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn numbers() -> Vec<u8> {
        (0..PIECE / 4).flat_map(|number| (number as f32).sqrt().to_le_bytes()).collect()
    }

    const PIECE: usize = 1 << 20;

    fn deflated(raw: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        Deflater::default().deflate(raw, &mut out);
        let (mut by_two, mut by_one) = (vec![0; raw.len()], Vec::new());
        inflate(&mut Decompressor::new(), &out, &mut by_two).unwrap();
        flate2::read::DeflateDecoder::new(&*out).read_to_end(&mut by_one).unwrap();
        assert!(by_one == raw && by_two == raw, "every decoder reads it");
        out
    }

    #[test]
    fn numbers_are_coded_byte_by_byte() {
        let raw = numbers();
        assert!(matches!(Deflater::default().way(&raw), Way::Literals));
        assert!(deflated(&raw).len() < raw.len() * 9 / 10);
    }

    #[test]
    fn repeats_are_searched_for_however_few_bytes_occur() {
        assert!(deflated(&vec![0; PIECE]).len() < PIECE / 100);
        assert!(deflated(&b"ab".repeat(PIECE / 2)).len() < PIECE / 100);
        assert!(deflated("a line of a log\n".repeat(9_000).as_bytes()).len() < 9_000);
    }

    #[test]
    fn small_pieces_are_told_apart_too() {
        let mut noise = vec![0; 10 << 10];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        assert!(matches!(Deflater::default().way(&noise), Way::Stored));
        let lines: String = (0..200).map(|n| format!("{{\"step\": {n}, \"loss\": 0.{}}}\n", n * 7919)).collect();
        assert!(matches!(Deflater::default().way(lines.as_bytes()), Way::Repeats));
        for small in [&noise[..], &numbers()[..10 << 10], lines.as_bytes(), b"", b"x"] {
            assert!(deflated(small).len() <= stored_len(small.len()));
        }
    }

    #[test]
    fn noise_is_stored() {
        let mut raw = vec![0; PIECE];
        blake3::Hasher::new().finalize_xof().fill(&mut raw);
        assert!(deflated(&raw).len() <= stored_len(PIECE));
    }
}
