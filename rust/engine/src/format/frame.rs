//! Frames: a header that says how a chunk or a recipe node is stored, then its payload. Frames stand back to back in a pack.

use super::MAX_CHUNK;
use super::cursor::{Cursor, Fields, What, crc};
use crate::{Digest, Result};

/// Bytes of a frame's header.
pub const FRAME_HEADER: usize = 64;
const WHAT: What = What("frame-header", "frame header");
const MAGIC: [u8; 4] = *b"PHfr";

/// What a frame holds, and so which of the two hash functions its digest is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum FrameKind {
    /// Bytes of a blob.
    Chunk = 1,
    /// A node of a recipe.
    Node = 2,
}

impl FrameKind {
    #[inline]
    pub(crate) fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Chunk),
            2 => Some(Self::Node),
            _ => None,
        }
    }
}

/// How a payload is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Codec {
    /// Not at all.
    Raw = 0,
    /// Zstd frames back to back (at most 16), each stating its content size.
    Zstd = 1,
}

/// The header of one frame. The payload is covered by `digest`, the header by its own checksum.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    /// Chunk or node.
    pub kind: FrameKind,
    /// How the payload is compressed.
    pub codec: Codec,
    /// Width of the byte groups (2, 4 or 8) that were made before compressing, or 0.
    pub group: u8,
    /// Bytes of the payload.
    pub stored: u32,
    /// Bytes of what it decodes to.
    pub raw: u32,
    /// Digest of what it decodes to.
    pub digest: Digest,
    /// [`FrameHeader::sum_of`] the payload.
    pub sum: u32,
}

impl FrameHeader {
    /// Append the 64 bytes.
    ///
    /// # Errors
    /// `too-large`: a length is past [`MAX_CHUNK`], or the fields contradict each other.
    pub fn encode(&self, out: &mut Vec<u8>) -> Result<()> {
        if let Err(why) = self.check() {
            return Err(WHAT.too_large(why));
        }
        let mut fields = Fields::new(WHAT, out);
        fields.put(&MAGIC).u8(self.kind as u8).u8(self.codec as u8).u8(self.group).u8(0);
        fields.u32(self.stored).u32(self.raw).put(self.digest.as_bytes()).zeros::<8>().u32(self.sum).seal();
        Ok(())
    }

    /// Read the 64 bytes.
    ///
    /// # Errors
    /// `frame-header` when damaged; `cipher`, `dictionary`, `codec` or `newer-format` when it needs a newer reader.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let mut cursor = Cursor::unsealed(WHAT, MAGIC, bytes, FRAME_HEADER)?;
        let [kind, codec, group, cipher] = cursor.array()?;
        let Some(kind) = FrameKind::from_byte(kind) else {
            return Err(WHAT.newer("newer-format", format_args!("names the unknown kind {kind}")));
        };
        let codec = match codec {
            0 => Codec::Raw,
            1 => Codec::Zstd,
            other => return Err(WHAT.newer("codec", format_args!("names the unknown codec {other}"))),
        };
        let (stored, raw, digest) = (cursor.u32()?, cursor.u32()?, cursor.digest()?);
        let (key, dictionary) = (cursor.u32()?, cursor.u32()?);
        if cipher != 0 || key != 0 {
            return Err(WHAT.newer("cipher", format_args!("names the cipher {cipher} and the key {key}: encrypted")));
        }
        if dictionary != 0 {
            return Err(WHAT.newer("dictionary", format_args!("names the dictionary {dictionary}")));
        }
        let header = Self { kind, codec, group, stored, raw, digest, sum: cursor.u32()? };
        cursor.end()?;
        header.check().map_err(|field| WHAT.bad(format_args!("has an impossible {field}")))?;
        Ok(header)
    }

    /// The checksum of a payload: its crc where it is compressed, for more than one payload can decode to the same bytes; 0 where
    /// the digest covers the payload itself.
    pub fn sum_of(codec: Codec, payload: &[u8]) -> u32 {
        match codec {
            Codec::Raw => 0,
            Codec::Zstd => crc(payload),
        }
    }

    /// Hold a payload against its checksum.
    ///
    /// # Errors
    /// `frame-payload`: it is not what was written.
    pub fn check_payload(&self, payload: &[u8]) -> Result<()> {
        if payload.len() as u64 == u64::from(self.stored) && Self::sum_of(self.codec, payload) == self.sum {
            return Ok(());
        }
        Err(What("frame-payload", "frame payload").bad("does not match its checksum"))
    }

    /// Bytes of header and payload together.
    pub fn frame_len(&self) -> u64 {
        u64::from(self.stored).saturating_add(FRAME_HEADER as u64)
    }

    fn check(&self) -> Result<(), &'static str> {
        if self.stored > MAX_CHUNK {
            return Err("stored length");
        }
        if self.raw > MAX_CHUNK {
            return Err("raw length");
        }
        match (self.codec, self.group) {
            (Codec::Raw, 0) if self.stored != self.raw => Err("pair of lengths"),
            (Codec::Raw, 0) if self.sum != 0 => Err("payload checksum"),
            (Codec::Raw, 0) => Ok(()),
            // Entries tell by the lengths whether a frame is compressed.
            (Codec::Zstd, _) if self.stored == self.raw => Err("pair of lengths"),
            (Codec::Zstd, 0 | 2 | 4 | 8) => Ok(()),
            _ => Err("group width"),
        }
    }
}
