//! The gzip container (RFC 1952) as we write it: one member for each mebibyte, so that large blobs are packed and unpacked on all cores.
//! An extra field in each member's header tells its lengths; other readers pass over it.

use super::deflate::{Deflater, checksum};
use crate::{Error, Result};

/// Content bytes in one member, at most.
pub(super) const PIECE: usize = 1 << 20;

/// Header of our members: gzip with an extra field, no time, "fastest", an unknown system; one subfield `PH` of eight bytes.
const MARK: [u8; 16] = [0x1F, 0x8B, 8, 4, 0, 0, 0, 0, 4, 255, 12, 0, b'P', b'H', 8, 0];
/// With the member's length and its content's, four bytes each, little-endian.
pub(super) const HEADER: usize = 24;
/// CRC-32 and length of the content.
pub(super) const TRAILER: usize = 8;
/// The smallest file that gzip can be.
const SMALLEST: u64 = 18;

/// What a file's first bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Head {
    /// A member of ours, with its length in the file and its content's.
    Ours { member: usize, content: usize },
    /// gzip by somebody else.
    Gzip,
    /// No gzip.
    Other,
}

/// What a member's last bytes say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Trailer {
    pub(super) crc: u32,
    /// The content's length, its lower 32 bits.
    pub(super) len: u32,
}

/// A blob in pieces of one member each; an empty blob is one empty piece.
pub(super) fn pieces(blob: &[u8]) -> impl ExactSizeIterator<Item = &[u8]> + Send {
    let count = blob.len().div_ceil(PIECE).max(1);
    (0..count).map(move |index| piece(blob, index))
}

/// The piece with this number.
pub(super) fn piece(blob: &[u8], index: usize) -> &[u8] {
    let start = index.saturating_mul(PIECE).min(blob.len());
    let stop = start.saturating_add(PIECE).min(blob.len());
    blob.get(start..stop).unwrap_or_default()
}

/// Append the member of one piece.
pub(super) fn member(deflater: &mut Deflater, raw: &[u8], out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    out.extend_from_slice(&MARK);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(&short(raw.len())?.to_le_bytes());
    deflater.deflate(raw, out);
    out.extend_from_slice(&checksum(raw).to_le_bytes());
    out.extend_from_slice(&short(raw.len())?.to_le_bytes());
    let len = short(out.len().saturating_sub(start))?;
    if let Some(place) = out.get_mut(start.saturating_add(16)..start.saturating_add(20)) {
        place.copy_from_slice(&len.to_le_bytes());
    }
    Ok(())
}

fn short(len: usize) -> Result<u32> {
    u32::try_from(len).map_err(|_| Error::invalid("too-large", "a gzip member is larger than four gigabytes"))
}

/// Read a member's first bytes; fewer than `HEADER` are no header of ours.
pub(super) fn head(bytes: &[u8]) -> Head {
    let lengths = bytes.strip_prefix(&MARK).and_then(|rest| rest.first_chunk::<8>());
    if let Some([a, b, c, d, e, f, g, h]) = lengths {
        let member = u32::from_le_bytes([*a, *b, *c, *d]) as usize;
        let content = u32::from_le_bytes([*e, *f, *g, *h]) as usize;
        // What a header claims is allocated before its bytes are read: no more than deflate can make of them.
        let can_be = plausible(member as u64, content as u64);
        if member > HEADER.saturating_add(TRAILER) && content <= PIECE && can_be {
            return Head::Ours { member, content };
        }
    }
    if bytes.starts_with(&[0x1F, 0x8B, 8]) { Head::Gzip } else { Head::Other }
}

/// Read the last bytes of a member.
pub(super) fn trailer(bytes: &[u8]) -> Option<Trailer> {
    let [a, b, c, d, e, f, g, h] = bytes.last_chunk::<TRAILER>()?;
    Some(Trailer { crc: u32::from_le_bytes([*a, *b, *c, *d]), len: u32::from_le_bytes([*e, *f, *g, *h]) })
}

/// The trailer that a member with this content has.
pub(super) fn trailer_of(content: &[u8]) -> Trailer {
    #[expect(clippy::cast_possible_truncation, reason = "gzip keeps the lower 32 bits")]
    let len = content.len() as u32;
    Trailer { crc: checksum(content), len }
}

/// Whether a file of `file` bytes can be gzip of `content` bytes: deflate makes at most 1,032 bytes of one.
pub(super) fn plausible(file: u64, content: u64) -> bool {
    file >= SMALLEST && content <= file.saturating_mul(1032)
}
