//! Byte grouping: all first bytes of the words, then all second bytes, and so on. Numbers' high bytes, which vary little, come together.
//!
//! With `n = len / width` words, byte `j` of word `i` goes to `j * n + i`; the `len % width` bytes after the last word stay at the end.
//! Each lane is one pass of a shift and a narrowing, which compilers turn into vector code.

/// Group `raw` in words of `width` bytes (2, 4 or 8; any other width copies) into `out`, which is as long.
pub(super) fn group(raw: &[u8], width: u8, out: &mut [u8]) {
    match width {
        2 => lanes(raw, out, |word: &[u8; 2], lane| (u16::from_le_bytes(*word) >> lane) as u8),
        4 => lanes(raw, out, |word: &[u8; 4], lane| (u32::from_le_bytes(*word) >> lane) as u8),
        8 => lanes(raw, out, |word: &[u8; 8], lane| (u64::from_le_bytes(*word) >> lane) as u8),
        _ => copy(raw, out),
    }
}

/// Undo [`group`].
pub(super) fn ungroup(grouped: &[u8], width: u8, out: &mut [u8]) {
    match width {
        2 => {
            let (words, tail) = out.as_chunks_mut::<2>();
            let (lanes, rest) = split::<2>(grouped, words.len());
            let [a, b] = lanes;
            for ((word, &a), &b) in words.iter_mut().zip(a).zip(b) {
                *word = [a, b];
            }
            copy(rest, tail);
        }
        4 => {
            let (words, tail) = out.as_chunks_mut::<4>();
            let (lanes, rest) = split::<4>(grouped, words.len());
            let [a, b, c, d] = lanes;
            for ((((word, &a), &b), &c), &d) in words.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *word = [a, b, c, d];
            }
            copy(rest, tail);
        }
        8 => {
            let (words, tail) = out.as_chunks_mut::<8>();
            let (lanes, rest) = split::<8>(grouped, words.len());
            let [a, b, c, d, e, f, g, h] = lanes;
            let low = a.iter().zip(b).zip(c).zip(d);
            let high = e.iter().zip(f).zip(g).zip(h);
            for ((word, (((&a, &b), &c), &d)), (((&e, &f), &g), &h)) in words.iter_mut().zip(low).zip(high) {
                *word = [a, b, c, d, e, f, g, h];
            }
            copy(rest, tail);
        }
        _ => copy(grouped, out),
    }
}

fn lanes<const WIDTH: usize>(raw: &[u8], out: &mut [u8], byte: impl Fn(&[u8; WIDTH], u32) -> u8) {
    let (words, tail) = raw.as_chunks::<WIDTH>();
    let mut rest = out;
    for lane in (0..64).step_by(8).take(WIDTH) {
        let Some((now, later)) = rest.split_at_mut_checked(words.len()) else { return };
        for (to, word) in now.iter_mut().zip(words) {
            *to = byte(word, lane);
        }
        rest = later;
    }
    copy(tail, rest);
}

fn split<const WIDTH: usize>(grouped: &[u8], words: usize) -> ([&[u8]; WIDTH], &[u8]) {
    let mut rest = grouped;
    let lanes = std::array::from_fn(|_| {
        let (lane, later) = rest.split_at_checked(words).unwrap_or((rest, &[]));
        rest = later;
        lane
    });
    (lanes, rest)
}

fn copy(from: &[u8], to: &mut [u8]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = *from;
    }
}
