//! Damage: small changes that parsers are known to stumble over.

/// SplitMix64: enough for choosing where to damage.
pub struct Rng(u64);

impl Rng {
    /// Inputs follow from these three alone.
    pub fn new(seed: u64, target: &str, number: u64) -> Self {
        let name = crc32c::crc32c(target.as_bytes());
        let mut rng = Self(seed ^ (u64::from(name) << 32));
        rng.0 = rng.next() ^ number;
        rng.next();
        rng
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `n`, which is not 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.next()) * n as u128) >> 64) as usize
    }

    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }
}

const NUMBERS: &[u64] = &[
    0,
    1,
    2,
    3,
    4,
    7,
    8,
    15,
    16,
    31,
    32,
    63,
    64,
    65,
    127,
    128,
    255,
    256,
    512,
    1022,
    1023,
    4092,
    4096,
    0x7FFF,
    0x8000,
    0xFFFF,
    0xFF_FFFF,
    0x100_0000,
    0x7FFF_FFFF,
    0x8000_0000,
    0xFFFF_FFFF,
    1 << 32,
    (1 << 48) - 1,
    1 << 48,
    i64::MAX as u64,
    1 << 63,
    u64::MAX,
];

/// One to a dozen changes, few as a rule. `other` is another valid input, of which pieces are taken.
pub fn mutate(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    let mut changes = 1;
    while changes < 12 && rng.one_in(2) {
        changes += 1;
    }
    for _ in 0..changes {
        change(rng, bytes, other);
    }
    bytes.truncate(1 << 20);
}

fn change(rng: &mut Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        bytes.extend_from_slice(&other[..rng.below(other.len() + 1)]);
        return;
    }
    let at = rng.below(bytes.len());
    let longest = if rng.one_in(4) { bytes.len() } else { 16 };
    let len = 1 + rng.below(longest);
    let end = bytes.len().min(at + len);
    match rng.below(12) {
        0 | 1 => bytes[at] ^= 1 << rng.below(8),
        2 => bytes[at] = rng.next() as u8,
        // A number of any width, aligned or not.
        3..=5 => {
            let width = *rng.pick(&[1, 2, 3, 4, 6, 8]);
            let at = if rng.one_in(3) { at } else { at & !3 };
            let end = bytes.len().min(at + width);
            let mut old = [0; 8];
            old[..end - at].copy_from_slice(&bytes[at..end]);
            let old = u64::from_le_bytes(old);
            let new = match rng.below(4) {
                0 => old.wrapping_add(1 + rng.below(64) as u64),
                1 => old.wrapping_sub(1 + rng.below(64) as u64),
                _ => *rng.pick(NUMBERS),
            };
            bytes[at..end].copy_from_slice(&new.to_le_bytes()[..end - at]);
        }
        6 => bytes.truncate(at),
        7 => drop(bytes.drain(at..end)),
        8 => {
            let piece = bytes[at..end].to_vec();
            let to = rng.below(bytes.len());
            bytes.splice(to..to, piece);
        }
        9 => {
            let piece = bytes[at..end].to_vec();
            let to = rng.below(bytes.len() - piece.len() + 1);
            bytes[to..to + piece.len()].copy_from_slice(&piece);
        }
        10 if !other.is_empty() => {
            let from = rng.below(other.len());
            let piece = &other[from..other.len().min(from + len)];
            let end = if rng.one_in(2) { at } else { bytes.len().min(at + piece.len()) };
            bytes.splice(at..end, piece.iter().copied());
        }
        _ => {
            let fill = *rng.pick(&[0, 0xFF, b'0', b'-', b'"', rng.0 as u8]);
            bytes.splice(at..at, std::iter::repeat_n(fill, len));
        }
    }
}
