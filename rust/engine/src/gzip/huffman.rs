//! Prefix codes of deflate (RFC 1951, 3.2.2): lengths from counts, codes from lengths.

/// A symbol's code, its bits in the order in which they are sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) bits: u16,
    pub(super) len: u8,
}

/// Places for lengths up to 63: a Huffman tree over 32-bit counts is no deeper than 47.
const DEPTHS: usize = 64;

#[derive(Clone, Copy)]
struct Leaf {
    count: u32,
    symbol: usize,
}

#[derive(Clone, Copy)]
enum Below {
    Leaf,
    Node(usize),
}

/// Lengths of a Huffman code, none above `longest`; 0 where a symbol does not occur. At least two symbols have a code, so that it is
/// complete, as decoders want it.
pub(super) fn lengths<const N: usize>(counts: &[u32; N], longest: u8) -> [u8; N] {
    let leaf = |(symbol, count): (usize, &u32)| (*count > 0).then_some(Leaf { count: *count, symbol });
    let mut leaves: Vec<Leaf> = counts.iter().enumerate().filter_map(leaf).collect();
    for symbol in 0..2 {
        if leaves.len() < 2 && leaves.iter().all(|leaf| leaf.symbol != symbol) {
            leaves.push(Leaf { count: 1, symbol });
        }
    }
    leaves.sort_unstable_by_key(|leaf| (leaf.count, leaf.symbol));
    let mut at_depth = depths(&leaves);
    flatten(&mut at_depth, longest);
    let deepest_first = (0..=longest).rev().zip(at_depth.iter().take(usize::from(longest).saturating_add(1)).rev());
    let all = deepest_first.flat_map(|(length, leaves)| (0..*leaves).map(move |_| length));
    let mut lengths = [0; N];
    for (leaf, length) in leaves.iter().zip(all) {
        if let Some(place) = lengths.get_mut(leaf.symbol) {
            *place = length;
        }
    }
    lengths
}

/// How many leaves lie at each depth of the tree over leaves sorted by count.
fn depths(leaves: &[Leaf]) -> [u32; DEPTHS] {
    // Two queues: leaves, and nodes, which come into being in the order of their counts.
    let mut nodes: Vec<(u32, [Below; 2])> = Vec::with_capacity(leaves.len());
    let mut rest = leaves.iter().peekable();
    let mut first = 0_usize;
    for _ in 1..leaves.len() {
        let mut pick = || match (rest.peek(), nodes.get(first)) {
            (Some(leaf), Some(node)) if leaf.count > node.0 => take(node.0, &mut first),
            (None, Some(node)) => take(node.0, &mut first),
            _ => (rest.next().map_or(0, |leaf| leaf.count), Below::Leaf),
        };
        let (one, other) = (pick(), pick());
        nodes.push((one.0.saturating_add(other.0), [one.1, other.1]));
    }
    let mut at_depth = [0_u32; DEPTHS];
    let mut depth_of = vec![0_usize; nodes.len()];
    for (index, (_, children)) in nodes.iter().enumerate().rev() {
        let depth = depth_of.get(index).copied().unwrap_or_default().saturating_add(1);
        for child in children {
            match child {
                Below::Leaf => {
                    if let Some(leaves) = at_depth.get_mut(depth) {
                        *leaves = leaves.saturating_add(1);
                    }
                }
                Below::Node(node) => {
                    if let Some(place) = depth_of.get_mut(*node) {
                        *place = depth;
                    }
                }
            }
        }
    }
    at_depth
}

fn take(count: u32, first: &mut usize) -> (u32, Below) {
    let node = *first;
    *first = node.saturating_add(1);
    (count, Below::Node(node))
}

/// Bring all leaves to depth `longest` at most, and keep the tree complete.
fn flatten(at_depth: &mut [u32; DEPTHS], longest: u8) {
    let longest = usize::from(longest);
    let mut deeper = 0_u32;
    for leaves in at_depth.iter_mut().skip(longest.saturating_add(1)) {
        deeper = deeper.saturating_add(std::mem::take(leaves));
    }
    add(at_depth, longest, i64::from(deeper));
    let room = 1_u64.wrapping_shl(u32::try_from(longest).unwrap_or_default());
    let weighed = at_depth.iter().enumerate().take(longest.saturating_add(1)).skip(1);
    let taken: u64 =
        weighed.map(|(depth, leaves)| u64::from(*leaves).wrapping_mul(room.wrapping_shr(depth as u32))).sum();
    for _ in room..taken.max(room) {
        // A leaf further up goes one down, and one of the deepest takes the place beside it.
        let up = (1..longest).rev().find(|depth| at_depth.get(*depth).is_some_and(|leaves| *leaves > 0)).unwrap_or(1);
        add(at_depth, longest, -1);
        add(at_depth, up, -1);
        add(at_depth, up.saturating_add(1), 2);
    }
}

fn add(at_depth: &mut [u32; DEPTHS], depth: usize, change: i64) {
    if let Some(leaves) = at_depth.get_mut(depth) {
        *leaves = u32::try_from(i64::from(*leaves).saturating_add(change)).unwrap_or_default();
    }
}

/// The codes that belong to lengths: those of one length count upward.
pub(super) fn codes<const N: usize>(lengths: &[u8; N]) -> [Code; N] {
    let mut next = [0_u16; 16];
    for len in lengths.iter().filter(|len| **len > 0) {
        if let Some(count) = next.get_mut(usize::from(*len)) {
            *count = count.wrapping_add(1);
        }
    }
    let mut first = 0_u16;
    for place in &mut next {
        let count = std::mem::replace(place, first);
        first = first.wrapping_add(count).wrapping_shl(1);
    }
    lengths.map(|len| match next.get_mut(usize::from(len)) {
        Some(place) if len > 0 => {
            let code = *place;
            *place = code.wrapping_add(1);
            Code { bits: code.reverse_bits().wrapping_shr(16_u32.wrapping_sub(u32::from(len))), len }
        }
        _ => Code::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room_taken(lengths: &[u8], longest: u8) -> u32 {
        lengths.iter().filter(|len| **len > 0).map(|len| 1 << (longest - len)).sum()
    }

    #[test]
    fn lengths_are_those_of_huffman() {
        assert_eq!(lengths(&[5, 9, 12, 13, 16, 45, 0], 11), [4, 4, 3, 3, 3, 1, 0]);
    }

    #[test]
    fn a_deep_tree_is_flattened_and_stays_complete() {
        let mut fibonacci = [1_u32; 40];
        for index in 2..40 {
            fibonacci[index] = fibonacci[index - 1] + fibonacci[index - 2];
        }
        let found = lengths(&fibonacci, 11);
        assert!(found.iter().all(|len| (1..=11).contains(len)));
        assert_eq!(room_taken(&found, 11), 1 << 11);
        assert!(found.windows(2).all(|pair| pair[0] >= pair[1]), "what is rarer is no shorter");
    }

    #[test]
    fn few_symbols_have_a_complete_code() {
        assert_eq!(room_taken(&lengths(&[0_u32; 4], 7), 7), 1 << 7);
        assert_eq!(room_taken(&lengths(&[0, 0, 3, 0], 7), 7), 1 << 7);
    }

    #[test]
    fn codes_count_upward_by_length_and_come_reversed() {
        // The example of RFC 1951, 3.2.2: ABCDEFGH.
        let expected = [0b010, 0b011, 0b100, 0b101, 0b110, 0b00, 0b1110, 0b1111];
        let found = codes(&[3, 3, 3, 3, 3, 2, 4, 4]);
        for (code, told) in found.iter().zip(expected) {
            assert_eq!(code.bits.reverse_bits() >> (16 - code.len), told);
        }
    }
}
