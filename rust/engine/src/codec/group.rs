//! Byte grouping: all first bytes of the words, then all second bytes, and so on. Numbers' high bytes, which vary little, come together.
//!
//! With `n = len / width` words, byte `j` of word `i` goes to `j * n + i`; the `len % width` bytes after the last word stay at the end.
//! Wide words are parted and woven in halves, again and again: each step is a loop over pairs, which compilers turn into vector code.

/// Group `raw` in words of `width` bytes (2, 4 or 8; any other width copies) into `out`, which is as long.
pub(super) fn group(raw: &[u8], width: u8, out: &mut [u8]) {
    let words = raw.len().checked_div(usize::from(width)).unwrap_or(0);
    let mut rest = out;
    let mut lane = || {
        let (lane, later) = std::mem::take(&mut rest).split_at_mut_checked(words).unwrap_or_default();
        rest = later;
        lane
    };
    let done = match width {
        2 => {
            let (a, b) = (lane(), lane());
            part(raw, a, b)
        }
        4 => part4(raw, std::array::from_fn(|_| lane())),
        8 => part8(raw, std::array::from_fn(|_| lane())),
        _ => 0,
    };
    copy(raw.get(done..).unwrap_or_default(), rest);
}

/// The even bytes to `a`, the odd ones to `b`: the bytes read. Parting both again is parting in four: two instructions for 16 bytes.
fn part(raw: &[u8], a: &mut [u8], b: &mut [u8]) -> usize {
    let pairs = raw.as_chunks::<2>().0;
    for (to, pair) in a.iter_mut().zip(pairs) {
        *to = u16::from_le_bytes(*pair) as u8;
    }
    for (to, pair) in b.iter_mut().zip(pairs) {
        *to = (u16::from_le_bytes(*pair) >> 8) as u8;
    }
    a.len().saturating_add(b.len())
}

fn part4(raw: &[u8], [a, b, c, d]: [&mut [u8]; 4]) -> usize {
    let (mut even, mut odd) = ([0; 2 * BLOCK], [0; 2 * BLOCK]);
    let lanes = a.chunks_mut(BLOCK).zip(b.chunks_mut(BLOCK)).zip(c.chunks_mut(BLOCK)).zip(d.chunks_mut(BLOCK));
    let mut done = 0_usize;
    for ((((a, b), c), d), raw) in lanes.zip(raw.chunks(4 * BLOCK)) {
        let half = a.len().saturating_mul(2);
        let (even, odd) = (even.get_mut(..half).unwrap_or_default(), odd.get_mut(..half).unwrap_or_default());
        done = done.saturating_add(part(raw, even, odd));
        part(even, a, c);
        part(odd, b, d);
    }
    done
}

fn part8(raw: &[u8], [a, b, c, d, e, f, g, h]: [&mut [u8]; 8]) -> usize {
    let (mut even, mut odd) = ([0; 4 * BLOCK], [0; 4 * BLOCK]);
    let evens = a.chunks_mut(BLOCK).zip(c.chunks_mut(BLOCK)).zip(e.chunks_mut(BLOCK)).zip(g.chunks_mut(BLOCK));
    let odds = b.chunks_mut(BLOCK).zip(d.chunks_mut(BLOCK)).zip(f.chunks_mut(BLOCK)).zip(h.chunks_mut(BLOCK));
    let mut done = 0_usize;
    for (((((a, c), e), g), (((b, d), f), h)), raw) in evens.zip(odds).zip(raw.chunks(8 * BLOCK)) {
        let half = a.len().saturating_mul(4);
        let (even, odd) = (even.get_mut(..half).unwrap_or_default(), odd.get_mut(..half).unwrap_or_default());
        done = done.saturating_add(part(raw, even, odd));
        part4(even, [a, c, e, g]);
        part4(odd, [b, d, f, h]);
    }
    done
}

/// Undo [`group`].
pub(super) fn ungroup(grouped: &[u8], width: u8, out: &mut [u8]) {
    let words = out.len().checked_div(usize::from(width)).unwrap_or(0);
    let mut rest = grouped;
    let mut lane = || {
        let (lane, later) = rest.split_at_checked(words).unwrap_or((rest, &[]));
        rest = later;
        lane
    };
    let done = match width {
        2 => {
            let (a, b) = (lane(), lane());
            weave(a, b, out)
        }
        4 => weave4(std::array::from_fn(|_| lane()), out),
        8 => weave8(std::array::from_fn(|_| lane()), out),
        _ => 0,
    };
    copy(rest, out.get_mut(done..).unwrap_or_default());
}

/// Bytes of a lane that are parted or woven at a time: what lies between stays in the first-level cache.
const BLOCK: usize = 1024;

/// Take turns between `a` and `b`: the bytes written. Weaving even lanes, odd lanes, then both, is weaving all: an instruction for 16 bytes.
fn weave(a: &[u8], b: &[u8], out: &mut [u8]) -> usize {
    let pairs = out.as_chunks_mut::<2>().0;
    for ((pair, &a), &b) in pairs.iter_mut().zip(a).zip(b) {
        *pair = [a, b];
    }
    a.len().saturating_add(b.len())
}

fn weave4([a, b, c, d]: [&[u8]; 4], out: &mut [u8]) -> usize {
    let (mut even, mut odd) = ([0; 2 * BLOCK], [0; 2 * BLOCK]);
    let lanes = a.chunks(BLOCK).zip(b.chunks(BLOCK)).zip(c.chunks(BLOCK)).zip(d.chunks(BLOCK));
    let mut done = 0_usize;
    for ((((a, b), c), d), out) in lanes.zip(out.chunks_mut(4 * BLOCK)) {
        let evens = weave(a, c, &mut even);
        let odds = weave(b, d, &mut odd);
        let woven = weave(even.get(..evens).unwrap_or_default(), odd.get(..odds).unwrap_or_default(), out);
        done = done.saturating_add(woven);
    }
    done
}

fn weave8([a, b, c, d, e, f, g, h]: [&[u8]; 8], out: &mut [u8]) -> usize {
    let (mut even, mut odd) = ([0; 4 * BLOCK], [0; 4 * BLOCK]);
    let evens = a.chunks(BLOCK).zip(c.chunks(BLOCK)).zip(e.chunks(BLOCK)).zip(g.chunks(BLOCK));
    let odds = b.chunks(BLOCK).zip(d.chunks(BLOCK)).zip(f.chunks(BLOCK)).zip(h.chunks(BLOCK));
    let mut done = 0_usize;
    for (((((a, c), e), g), (((b, d), f), h)), out) in evens.zip(odds).zip(out.chunks_mut(8 * BLOCK)) {
        let evens = weave4([a, c, e, g], &mut even);
        let odds = weave4([b, d, f, h], &mut odd);
        let woven = weave(even.get(..evens).unwrap_or_default(), odd.get(..odds).unwrap_or_default(), out);
        done = done.saturating_add(woven);
    }
    done
}

fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_any_width_and_count_come_back_in_order() {
        let raw: Vec<u8> = (0..20_000_u32).map(|i| (i.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
        for width in [2, 4, 8] {
            for len in (0..70).chain(1020..1030).chain(4090..4100).chain([8191, 8192, 8200, 16_391, 20_000]) {
                let (mut grouped, mut back) = (vec![0; len], vec![0; len]);
                group(&raw[..len], width, &mut grouped);
                let words = len / usize::from(width);
                for (at, &byte) in raw[..words * usize::from(width)].iter().enumerate() {
                    assert_eq!(grouped[at % usize::from(width) * words + at / usize::from(width)], byte);
                }
                ungroup(&grouped, width, &mut back);
                assert_eq!(back, raw[..len], "{len} bytes in words of {width}");
            }
        }
    }
}
