//! What a few bytes tell about a chunk: whether compressing it can pay at all, and whether it looks like numbers of some width.

/// Bytes in one piece of the sample for [`looks_random`].
const PIECE: usize = 32;

/// Bytes that [`word_width`] looks at.
const STRETCH: usize = 4096;

/// Whether bytes taken here and there are spread as evenly as random or compressed ones, and do not rise or fall evenly either.
///
/// Counts pairs of equal bytes among `n` sampled ones. Even ones have `n²/512`, with a deviation of its root. What this takes for random
/// and is not, an entropy coder would shorten by a few per cent at most. A counter's lowest bytes are spread as evenly as noise, but
/// [`steady`].
pub(super) fn looks_random(bytes: &[u8]) -> bool {
    let pieces = (bytes.len() / 4096).clamp(5, 64);
    let apart = bytes.len().checked_div(pieces).unwrap_or(0);
    if apart < PIECE {
        return false;
    }
    let mut seen = [0_u8; 256];
    let (mut pairs, mut steadies) = (0_u32, 0_usize);
    for piece in bytes.chunks_exact(apart).take(pieces).filter_map(|part| part.first_chunk::<PIECE>()) {
        for &byte in piece {
            #[expect(clippy::indexing_slicing, reason = "a byte is below 256: no check is made")]
            let count = &mut seen[byte as usize];
            pairs = pairs.wrapping_add(u32::from(*count));
            *count = count.wrapping_add(1);
        }
        steadies = steadies.saturating_add(usize::from(steady(piece)));
    }
    let n = pieces as f32 * PIECE as f32;
    let expected = n * n / 512.0;
    (pairs as f32) < expected * 1.2 + 3.0 * expected.sqrt() && steadies <= pieces / 4
}

/// Whether most bytes continue the step between the two before, give or take one. Of random ones, three in 256 do.
fn steady(piece: &[u8; PIECE]) -> bool {
    let mut count = 0_u8;
    for ((a, b), c) in piece.iter().zip(piece.iter().skip(1)).zip(piece.iter().skip(2)) {
        let change = c.wrapping_sub(*b).wrapping_sub(b.wrapping_sub(*a));
        count = count.wrapping_add(u8::from(change.wrapping_add(1) <= 2));
    }
    usize::from(count) > PIECE / 4
}

/// The width of the numbers that `raw` seems to be made of: 2, 4 or 8, or 0 when it does not look like numbers.
///
/// Numbers of one array have high bytes that are equal or nearly so, one number's width apart. Text has equal bytes at any distance.
pub(super) fn word_width(raw: &[u8]) -> u8 {
    let stretch = stretch(raw, STRETCH);
    if stretch.len() < 256 || stretch.is_ascii() {
        return 0;
    }
    let [one, two, four, eight] = [1, 2, 4, 8].map(|distance| alike(stretch, distance));
    let [two, four, eight] = [two, four, eight].map(|alike| alike.saturating_sub(one));
    let most = two.max(four).max(eight);
    // At least two bytes in a hundred more alike than neighbours are: one byte of eight, a fifth of the time, is more.
    if most < stretch.len() / 48 {
        return 0;
    }
    // What repeats after four bytes does so after eight.
    let nearly = most.saturating_sub(most / 4);
    if two >= nearly {
        2
    } else if four >= nearly {
        4
    } else {
        8
    }
}

/// Whether neighbours are mostly alike: runs and slow counters.
pub(super) fn calm(lane: &[u8]) -> bool {
    let stretch = stretch(lane, STRETCH / 4);
    alike(stretch, 1) > stretch.len().saturating_sub(stretch.len() / 3)
}

/// How many bytes are the byte `distance` before, give or take one.
fn alike(bytes: &[u8], distance: usize) -> usize {
    // Counted in bytes, 128 at a time: vector code.
    let later = bytes.get(distance..).unwrap_or_default();
    let blocks = later.as_chunks::<128>().0.iter().zip(bytes.as_chunks::<128>().0);
    blocks
        .map(|(b, a)| {
            let count = a
                .iter()
                .zip(b)
                .fold(0_u8, |count, (a, b)| count.wrapping_add(u8::from(b.wrapping_sub(*a).wrapping_add(1) <= 2)));
            usize::from(count)
        })
        .sum()
}

/// Whether four bytes in a row often come again within a kilobyte: then zstd may do better with the bytes in their order.
pub(super) fn repeats(raw: &[u8]) -> bool {
    let stretch = stretch(raw, STRETCH / 4);
    let mut seen = [0_u32; 256];
    let mut again = 0_usize;
    for word in stretch.windows(4).filter_map(|window| window.first_chunk::<4>()) {
        let word = u32::from_le_bytes(*word);
        let place = (word.wrapping_mul(0x9E37_79B1) >> 24) as u8;
        #[expect(clippy::indexing_slicing, reason = "a byte is below 256: no check is made")]
        let slot = &mut seen[place as usize];
        again = again.saturating_add(usize::from(*slot == word));
        *slot = word;
    }
    again > stretch.len() / 16
}

/// Up to `len` bytes from the middle, beginning at a multiple of eight.
pub(super) fn stretch(raw: &[u8], len: usize) -> &[u8] {
    let start = (raw.len().saturating_sub(len) / 2) & !7;
    let rest = raw.get(start..).unwrap_or(raw);
    rest.get(..len).unwrap_or(rest)
}
