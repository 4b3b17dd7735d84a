//! The envelope around a named document.
//!
//! ```text
//! 0   4 magic "PHnd"     4  2 version = 1      6  1 number of previous write ids (at most 16)   7  1 zero
//! 8   2 length of name   10 2 zero             12 4 number of refs    16 4 length of document   20 4 zero
//! 24 16 write id: the document's version       40 16 × previous write ids, newest first
//! then the name (UTF-8), 32 × refs, the document, and 32 bytes BLAKE3-256 of everything before
//! ```

use std::borrow::Cow;

use super::VERSION;
use super::cursor::{Cursor, Fields, What};
use crate::{Digest, Id, Result, digest};

/// The longest name: bytes of UTF-8.
pub const MAX_NAME: usize = 700;
/// The longest document.
pub const MAX_DOCUMENT: usize = 16 << 20;
/// How many write ids before its own a document remembers.
pub const MAX_PREVIOUS: usize = 16;
/// Bytes up to and with the write id: enough to tell one version from another.
pub const ENVELOPE_HEAD: usize = 40;
/// The most bytes that stand before the refs.
pub const ENVELOPE_FRONT: usize = ENVELOPE_HEAD + MAX_PREVIOUS * 16 + MAX_NAME;
const MAX_REFS: usize = 1 << 20;
/// The longest envelope.
pub const MAX_ENVELOPE: usize = ENVELOPE_FRONT + MAX_REFS * 32 + MAX_DOCUMENT + 32;
const WHAT: What = What("envelope", "envelope of a named document");
const MAGIC: [u8; 4] = *b"PHnd";

/// A named document with what belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope<'a> {
    /// The id of the write that put it there: its version.
    pub version: Id,
    /// The ids of the writes before, newest first: a successor proves that a write took place.
    pub previous: Vec<Id>,
    /// The full name.
    pub name: &'a str,
    /// Keys that the document keeps alive.
    pub refs: Cow<'a, [Digest]>,
    /// The document.
    pub document: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// What stands for nothing where objects cannot be deleted on a condition: an envelope without a document, refs or previous ids.
    pub fn tombstone(version: Id, name: &'a str) -> Self {
        Self { version, previous: Vec::new(), name, refs: Cow::Borrowed(&[]), document: &[] }
    }

    /// How long the tombstone of a name is. No document's envelope is as short: it has a byte at least.
    pub fn tombstone_len(name: &str) -> u64 {
        (ENVELOPE_HEAD.saturating_add(name.len()).saturating_add(32)) as u64
    }

    /// Whether an envelope is a tombstone.
    pub fn is_tombstone(&self) -> bool {
        self.document.is_empty()
    }

    /// Append the envelope.
    ///
    /// # Errors
    /// `too-large`: the name, the document or a list is longer than the format allows.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        let limited = |len: usize, most: usize, field: &str| {
            u32::try_from(len).ok().filter(|_| len <= most).ok_or_else(|| WHAT.too_large(field))
        };
        let previous = limited(self.previous.len(), MAX_PREVIOUS, "number of write ids")?;
        let name = limited(self.name.len(), MAX_NAME, "name")?;
        let refs = limited(self.refs.len(), MAX_REFS, "number of refs")?;
        let document = limited(self.document.len(), MAX_DOCUMENT, "document")?;
        let (Ok(previous), Ok(name)) = (u8::try_from(previous), u16::try_from(name)) else {
            return Err(WHAT.too_large("name"));
        };
        let start = out.len();
        let mut fields = Fields::new(WHAT, out);
        fields.put(&MAGIC).u16(VERSION).u8(previous).zeros::<1>().u16(name).zeros::<2>();
        fields.u32(refs).u32(document).zeros::<4>().put(&self.version.0);
        self.previous.iter().for_each(|id| {
            fields.put(&id.0);
        });
        fields.put(self.name.as_bytes());
        self.refs.iter().for_each(|key| {
            fields.put(key.as_bytes());
        });
        fields.put(self.document);
        let sum = digest::hash(out.get(start..).unwrap_or_default());
        out.extend_from_slice(sum.as_bytes());
        Ok(())
    }

    /// Read an envelope, its digest verified.
    ///
    /// # Errors
    /// `envelope` when damaged, `newer-format` when intact but of a newer version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self> {
        let Some((body, sum)) = bytes.split_last_chunk::<32>() else {
            return Err(WHAT.bad("is too short"));
        };
        if digest::hash(body) != Digest::from_bytes(*sum) {
            return Err(WHAT.bad("does not match its digest"));
        }
        let (front, mut cursor) = Front::read(body)?;
        let len = usize::try_from(front.refs).ok().and_then(|refs| refs.checked_mul(32));
        let refs = cursor.bytes(len.ok_or_else(|| WHAT.bad("is cut short"))?)?;
        let refs = refs.as_chunks::<32>().0.iter().map(|key| Digest::from_bytes(*key)).collect();
        let len = usize::try_from(front.document).map_err(|_| WHAT.bad("is cut short"))?;
        let document = cursor.bytes(len)?;
        cursor.end()?;
        Ok(Self {
            version: front.version,
            previous: front.previous,
            name: front.name,
            refs: Cow::Owned(refs),
            document,
        })
    }

    /// The name alone, out of an envelope's first [`ENVELOPE_FRONT`] bytes; nothing is verified.
    ///
    /// # Errors
    /// `envelope` when there is no name, `newer-format` when of a newer version.
    pub fn peek_name(bytes: &'a [u8]) -> Result<&'a str> {
        Ok(Front::read(bytes)?.0.name)
    }
}

/// What stands before the refs.
struct Front<'a> {
    version: Id,
    previous: Vec<Id>,
    name: &'a str,
    refs: u32,
    document: u32,
}

impl<'a> Front<'a> {
    fn read(bytes: &'a [u8]) -> Result<(Self, Cursor<'a>)> {
        let mut cursor = Cursor::new(WHAT, bytes);
        if cursor.array::<4>()? != MAGIC {
            return Err(WHAT.bad("does not begin with its magic"));
        }
        let version = cursor.u16()?;
        if version != VERSION {
            return Err(WHAT.newer("newer-format", format_args!("has version {version}, this reads version 1")));
        }
        let previous = usize::from(cursor.u8()?);
        cursor.reserved::<1>()?;
        let name = usize::from(cursor.u16()?);
        cursor.reserved::<2>()?;
        let (refs, document) = (cursor.u32()?, cursor.u32()?);
        cursor.reserved::<4>()?;
        let version = cursor.id()?;
        if previous > MAX_PREVIOUS {
            return Err(WHAT.bad(format_args!("says {previous} previous write ids")));
        }
        let previous = (0..previous).map(|_| cursor.id()).collect::<Result<_>>()?;
        let name = std::str::from_utf8(cursor.bytes(name)?).map_err(|_| WHAT.bad("has a name that is not text"))?;
        Ok((Self { version, previous, name, refs, document }, cursor))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        let mut bytes = Vec::new();
        let previous = vec![Id([1; 16]), Id([2; 16])];
        let refs = Cow::Owned(vec![digest::hash(b"a")]);
        let name = "runs/Größe";
        Envelope { version: Id([9; 16]), previous, name, refs, document: br#"{"x":1}"# }.encode(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_document_comes_back_with_its_name_refs_and_history() {
        let bytes = sample();
        let read = Envelope::decode(&bytes).unwrap();
        assert_eq!((read.version, read.name, read.document), (Id([9; 16]), "runs/Größe", &br#"{"x":1}"#[..]));
        assert_eq!(read.refs.as_ref(), [digest::hash(b"a")]);
        assert_eq!(read.previous, [Id([1; 16]), Id([2; 16])]);
        let mut again = Vec::new();
        read.encode(&mut again).unwrap();
        assert_eq!(again, bytes);
        assert_eq!(Envelope::peek_name(&bytes[..100]).unwrap(), "runs/Größe");
    }

    #[test]
    fn every_flipped_bit_and_every_missing_byte_is_noticed() {
        let bytes = sample();
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(Envelope::decode(&flipped).is_err(), "bit {at}");
            let _ = Envelope::peek_name(&flipped);
        }
        for len in 0..bytes.len() {
            assert!(Envelope::decode(&bytes[..len]).is_err(), "{len} bytes");
            let _ = Envelope::peek_name(&bytes[..len]);
        }
    }

    #[test]
    fn a_newer_version_is_told_from_damage() {
        let mut bytes = sample();
        bytes[4] = 2;
        let len = bytes.len() - 32;
        let sum = digest::hash(&bytes[..len]);
        bytes[len..].copy_from_slice(sum.as_bytes());
        assert_eq!(Envelope::decode(&bytes).unwrap_err().kind(), crate::Kind::Unsupported);
    }

    #[test]
    fn what_the_format_cannot_hold_is_refused() {
        let long = "x".repeat(MAX_NAME + 1);
        let mut envelope =
            Envelope { version: Id([0; 16]), previous: vec![], name: &long, refs: Cow::Borrowed(&[]), document: b"" };
        assert!(envelope.encode(&mut Vec::new()).is_err());
        envelope.name = "x";
        envelope.previous = vec![Id([0; 16]); 17];
        assert!(envelope.encode(&mut Vec::new()).is_err());
    }
}
