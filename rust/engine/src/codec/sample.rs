//! What a few bytes tell about a chunk: whether compressing it can pay at all, and whether it looks like numbers.

/// Bytes in one piece of the sample.
const PIECE: usize = 32;

/// Whether bytes taken here and there are spread as evenly as random or compressed ones.
///
/// Counts pairs of equal bytes among `n` sampled ones. Uniform bytes have `n²/512` with a deviation of its root; whatever an entropy
/// coder could shrink by 3 % has a sixth more. A sampled byte costs as much time as BLAKE3 needs for three or four.
pub(super) fn looks_random(raw: &[u8]) -> bool {
    let pieces = (raw.len() / 4096).clamp(8, 64);
    let step = raw.len().checked_div(pieces).unwrap_or(0);
    if step < PIECE {
        return false;
    }
    let mut seen = [0_u16; 256];
    let mut pairs = 0_u32;
    for piece in raw.chunks_exact(step).take(pieces).filter_map(|part| part.first_chunk::<PIECE>()) {
        for &byte in piece {
            #[expect(clippy::indexing_slicing, reason = "a byte is always below 256")]
            let count = &mut seen[byte as usize];
            pairs = pairs.wrapping_add(u32::from(*count));
            *count = count.wrapping_add(1);
        }
    }
    let n = pieces as f32 * PIECE as f32;
    let even = n * n / 512.0;
    (pairs as f32) < even + 3.0 * even.sqrt()
}
