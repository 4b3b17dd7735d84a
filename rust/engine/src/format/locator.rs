//! Locators: a hint, kept beside a key, where a blob lies, so that loading it needs no index.

use super::cursor::{Cursor, Fields, What, crc};
use super::frame::FRAME_HEADER;
use super::{MAX_CHUNK, MAX_PACK};
use crate::{Digest, Id, Result};

/// Runs that a locator can hold. A blob in more pieces has none.
pub const MAX_RUNS: usize = 8;
const WHAT: What = What("locator", "locator");
const VERSION: u8 = 1;

/// Consecutive frames in one pack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// The pack.
    pub pack: Id,
    /// Where the first frame's header begins.
    pub offset: u64,
    /// Bytes of the frames.
    pub len: u64,
    /// Ordinal, in the blob, of the first chunk.
    pub first: u32,
    /// Chunks. Node frames that follow them are in `len`, not here.
    pub count: u32,
}

/// Where a blob lies, as far as the one who wrote it knew.
///
/// Invariants, checked when read: the runs hold all the blob's chunks in order, and could hold that many bytes. Whatever it
/// says is verified by the reader: it comes from outside the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Locator {
    /// Bytes of the blob.
    pub size: u64,
    /// The recipe's root node; `None` for a blob of one chunk.
    pub root: Option<Digest>,
    /// 1 to [`MAX_RUNS`] runs.
    pub runs: Vec<Run>,
}

impl Locator {
    /// The text form: base64url without padding, a letter, digit, `-` or `_` each.
    ///
    /// # Errors
    /// `too-large`: it breaks its invariants.
    pub fn to_text(&self) -> Result<String> {
        self.check().map_err(|why| WHAT.too_large(why))?;
        let mut bytes = Vec::new();
        let mut fields = Fields::new(WHAT, &mut bytes);
        fields.u8(VERSION).u64(self.size).u8(u8::from(self.root.is_some()));
        if let Some(root) = &self.root {
            fields.put(root.as_bytes());
        }
        fields.u8(u8::try_from(self.runs.len()).unwrap_or(u8::MAX));
        for run in &self.runs {
            fields.put(&run.pack.0).u48(run.offset, "offset")?.u48(run.len, "length")?.u32(run.first).u32(run.count);
        }
        fields.seal();
        Ok(encode64(&bytes))
    }

    /// Read the text form.
    ///
    /// # Errors
    /// `locator`: not one. `newer-format`: one of a later version.
    pub fn parse(text: &str) -> Result<Self> {
        let bytes = decode64(text).ok_or_else(|| WHAT.bad("is not base64url"))?;
        let Some((body, sum)) = bytes.split_last_chunk::<4>() else {
            return Err(WHAT.bad("is cut short"));
        };
        if crc(body) != u32::from_le_bytes(*sum) {
            return Err(WHAT.bad("does not match its checksum"));
        }
        let mut cursor = Cursor::new(WHAT, body);
        match cursor.u8()? {
            VERSION => {}
            other => return Err(WHAT.newer("newer-format", format_args!("has version {other}, this reads version 1"))),
        }
        let size = cursor.u64()?;
        let root = match cursor.u8()? {
            0 => None,
            1 => Some(cursor.digest()?),
            other => return Err(WHAT.newer("newer-format", format_args!("has the unknown form {other}"))),
        };
        let runs = (0..cursor.u8()?)
            .map(|_| {
                Ok(Run {
                    pack: cursor.id()?,
                    offset: cursor.u48()?,
                    len: cursor.u48()?,
                    first: cursor.u32()?,
                    count: cursor.u32()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        cursor.end()?;
        let locator = Self { size, root, runs };
        locator.check().map_err(|why| WHAT.bad(format_args!("has an impossible {why}")))?;
        Ok(locator)
    }

    /// Chunks of the blob.
    pub fn chunks(&self) -> u64 {
        self.runs.iter().fold(0, |sum, run| sum.saturating_add(run.count.into()))
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.runs.is_empty() || self.runs.len() > MAX_RUNS {
            return Err("number of runs");
        }
        let mut chunks = 0_u32;
        for run in &self.runs {
            if run.first != chunks {
                return Err("order of runs");
            }
            chunks = chunks.checked_add(run.count).ok_or("number of chunks")?;
            // A run without a chunk holds nodes; it is not empty.
            let least = u64::from(run.count.max(1)).saturating_mul(FRAME_HEADER as u64);
            if run.len < least || run.offset.checked_add(run.len).is_none_or(|end| end > MAX_PACK) {
                return Err("length of a run");
            }
        }
        if chunks == 0 || (self.root.is_none() && chunks != 1) {
            return Err("number of chunks");
        }
        if self.size > u64::from(chunks).saturating_mul(MAX_CHUNK.into()) {
            return Err("size");
        }
        Ok(())
    }
}

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

fn encode64(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len().div_ceil(3).saturating_mul(4));
    for group in bytes.chunks(3) {
        let word = group.iter().chain([0, 0].iter()).take(3).fold(0_u32, |word, byte| (word << 8) | u32::from(*byte));
        for shift in [18, 12, 6, 0].into_iter().take(group.len().saturating_add(1)) {
            text.push(ALPHABET.get(((word >> shift) & 63) as usize).copied().unwrap_or(b'A').into());
        }
    }
    text
}

/// `None` for anything that [`encode64`] does not write.
fn decode64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    for group in text.as_bytes().chunks(4) {
        let mut word = 0_u32;
        for digit in group {
            let value = match digit {
                b'A'..=b'Z' => digit.checked_sub(b'A')?,
                b'a'..=b'z' => digit.checked_sub(b'a' - 26)?,
                b'0'..=b'9' => digit.checked_add(52 - b'0')?,
                b'-' => 62,
                b'_' => 63,
                _ => return None,
            };
            word = (word << 6) | u32::from(value);
        }
        let (word, len) = match group.len() {
            4 => (word, 3),
            3 => (word << 6, 2),
            2 => (word << 12, 1),
            _ => return None,
        };
        let [_, all @ ..] = word.to_be_bytes();
        let (kept, cut) = all.split_at_checked(len)?;
        // Digits that say more than the bytes they make have a second spelling: not ours.
        if cut.iter().any(|byte| *byte != 0) {
            return None;
        }
        bytes.extend_from_slice(kept);
    }
    Some(bytes)
}
