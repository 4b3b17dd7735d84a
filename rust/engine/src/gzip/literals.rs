//! Deflate without matches: each byte gets a code by how often it occurs. Numbers hold next to no repetition that deflate could find, and
//! searching for it takes most of the time; what their bytes have in common, this finds at five to six times the speed.

use super::huffman::{self, Code};

/// No code is longer, so that five fit into a word beside seven bits that wait; and libdeflate finds every one by one look at its table.
const LONGEST: u8 = 11;
/// Literals written at a time.
const GROUP: usize = 5;
/// The end of a block.
const END: usize = 256;
/// The order in which lengths of code-length codes are sent (RFC 1951, 3.2.7).
const ORDER: [usize; 19] = [16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15];
/// Bits of a block's start: last or not, its kind, how many codes of each sort.
const START: u32 = 3 + 5 + 5 + 4;

/// A block that is planned: what its code is and what it will take.
pub(super) struct Plan {
    lengths: [u8; END + 1],
    bits: u64,
}

impl Plan {
    /// Count the bytes and choose a code.
    pub(super) fn of(raw: &[u8]) -> Self {
        let counts = count(raw);
        let lengths = huffman::lengths(&counts, LONGEST);
        let content = counts.iter().zip(&lengths).map(|(count, len)| u64::from(*count).wrapping_mul(u64::from(*len)));
        // The code's own description: 19 lengths of three bits, 258 of seven at most.
        let described = u64::from(START).saturating_add(19 * 3).saturating_add(258 * 7);
        Self { lengths, bits: content.sum::<u64>().saturating_add(described) }
    }

    /// Bytes that the stream will not exceed.
    pub(super) fn bytes(&self) -> usize {
        usize::try_from(self.bits.div_ceil(8)).unwrap_or(usize::MAX)
    }

    /// Append the stream: one block, the last.
    pub(super) fn write(&self, raw: &[u8], out: &mut Vec<u8>) {
        let start = out.len();
        // A word is written as a whole, however little of it counts.
        out.resize(start.saturating_add(self.bytes()).saturating_add(8), 0);
        let mut bits = Bits { out: out.get_mut(start..).unwrap_or_default(), at: 0, held: 0, count: 0 };
        self.describe(&mut bits);
        let codes = huffman::codes(&self.lengths);
        let mut groups = raw.chunks_exact(GROUP);
        for group in &mut groups {
            for byte in group {
                bits.put_code(code_of(&codes, usize::from(*byte)));
            }
            bits.flush();
        }
        for byte in groups.remainder() {
            bits.put_code(code_of(&codes, usize::from(*byte)));
        }
        bits.flush();
        bits.put_code(code_of(&codes, END));
        let len = bits.finish();
        out.truncate(start.saturating_add(len));
    }

    fn describe(&self, bits: &mut Bits<'_>) {
        // 257 literal codes, one distance code, which does not exist: its length is 0.
        bits.put(0b101, 3);
        bits.put(0, 5);
        bits.put(0, 5);
        bits.put(15, 4);
        let all = || self.lengths.iter().copied().chain([0]).map(usize::from);
        let mut counts = [0_u32; 19];
        for place in all() {
            if let Some(count) = counts.get_mut(place) {
                *count = count.wrapping_add(1);
            }
        }
        let lengths = huffman::lengths(&counts, 7);
        for place in ORDER {
            bits.put(u64::from(lengths.get(place).copied().unwrap_or_default()), 3);
            bits.flush();
        }
        let codes = huffman::codes(&lengths);
        for place in all() {
            bits.put_code(code_of(&codes, place));
            bits.flush();
        }
    }
}

#[inline]
fn code_of<const N: usize>(codes: &[Code; N], symbol: usize) -> Code {
    codes.get(symbol).copied().unwrap_or_default()
}

/// Bytes that codes of fractions of bits would take, without what describes them: of a sample, which is too short for that.
pub(super) fn entropy_bytes(sample: &[u8]) -> usize {
    let len = sample.len() as f64;
    let bits = |count: &u32| if *count == 0 { 0.0 } else { f64::from(*count) * (len / f64::from(*count)).log2() };
    let all: f64 = count(sample).iter().take(END).map(bits).sum();
    (all / 8.0).ceil() as usize
}

/// How often each byte occurs, and one end. Four tables: equal bytes in a row would wait for each other.
fn count(raw: &[u8]) -> [u32; END + 1] {
    let mut tables = [[0_u32; 256]; 4];
    for four in raw.chunks(4) {
        for (table, byte) in tables.iter_mut().zip(four) {
            if let Some(count) = table.get_mut(usize::from(*byte)) {
                *count = count.wrapping_add(1);
            }
        }
    }
    let mut counts = [1_u32; END + 1];
    for (byte, place) in counts.iter_mut().take(END).enumerate() {
        *place = tables.iter().filter_map(|table| table.get(byte)).sum();
    }
    counts
}

/// Bits on their way into bytes, the lowest first.
struct Bits<'a> {
    out: &'a mut [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl Bits<'_> {
    #[inline]
    fn put(&mut self, bits: u64, len: u32) {
        self.held |= bits.wrapping_shl(self.count);
        self.count = self.count.wrapping_add(len);
    }

    #[inline]
    fn put_code(&mut self, code: Code) {
        self.put(u64::from(code.bits), u32::from(code.len));
    }

    /// Write whole bytes; seven bits wait at most.
    #[inline]
    fn flush(&mut self) {
        if let Some(place) = self.out.get_mut(self.at..).and_then(<[u8]>::first_chunk_mut::<8>) {
            *place = self.held.to_le_bytes();
        }
        self.at = self.at.wrapping_add((self.count / 8) as usize);
        self.held = self.held.wrapping_shr(self.count & !7);
        self.count &= 7;
    }

    /// Write what is left; the stream's length.
    fn finish(mut self) -> usize {
        self.count = self.count.wrapping_add(7);
        self.flush();
        self.at
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    fn check(raw: &[u8]) {
        let plan = Plan::of(raw);
        let mut out = vec![7; 3];
        plan.write(raw, &mut out);
        let stream = &out[3..];
        assert!(stream.len() <= plan.bytes());
        let mut back = Vec::new();
        flate2::read::DeflateDecoder::new(stream).read_to_end(&mut back).unwrap();
        assert_eq!(back, raw);
        let mut memory = vec![0; raw.len()];
        let read = libdeflater::Decompressor::new().deflate_decompress(stream, &mut memory);
        assert_eq!((read.unwrap(), &*memory), (raw.len(), raw));
    }

    #[test]
    fn extremes_come_back() {
        check(&[]);
        check(&[0]);
        check(&[255; 70_000]);
        check(&(0..=255).collect::<Vec<u8>>());
        // Each byte about 1.6 times as often as the next: codes longer than allowed, without flattening.
        let rare_to_frequent = (0..28).flat_map(|byte| vec![byte; 1.6_f64.powi(i32::from(byte)) as usize]);
        check(&rare_to_frequent.collect::<Vec<u8>>());
    }

    proptest! {
        #[test]
        fn whatever_is_written_comes_back(raw in proptest::collection::vec(any::<u8>(), 0..2_000), skew in 1_u8..=255) {
            check(&raw);
            check(&raw.iter().map(|byte| byte % skew).collect::<Vec<u8>>());
        }
    }
}
