//! Back from a frame's payload to the chunk. What comes in is foreign: every length is checked before a byte is written.

use zstd::bulk::Decompressor;
use zstd::zstd_safe;

use super::{Codec, group};
use crate::{Error, Kind, Result};

/// The four bytes every zstd frame begins with. Skippable and legacy frames begin with others and are refused.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xB5, 0x2F, 0xFD];

/// Decodes payloads, its zstd context and its buffer reused from one to the next.
pub struct Decoder {
    zstd: Decompressor<'static>,
    grouped: Vec<u8>,
}

impl Decoder {
    /// A decoder; it grows to the largest grouped chunk it has met.
    ///
    /// # Errors
    /// `Io` when zstd has no memory for its context.
    pub fn new() -> Result<Self> {
        let zstd = Decompressor::new().map_err(|e| Error::io("make", "a zstd context", e))?;
        Ok(Self { zstd, grouped: Vec::new() })
    }

    /// Decode `payload` into `out`, which is exactly as long as the chunk must be. On an error `out` may hold anything.
    ///
    /// # Errors
    /// `Corrupt` / `payload` when the payload is no complete encoding of that many bytes; `Unsupported` / `group` for an unknown width.
    pub fn decode(&mut self, codec: Codec, group: u8, payload: &[u8], out: &mut [u8]) -> Result<()> {
        match (codec, group) {
            (Codec::Raw, 0) => {
                if payload.len() != out.len() {
                    return Err(corrupt(format!("{} raw bytes where {} belong", payload.len(), out.len())));
                }
                out.copy_from_slice(payload);
                Ok(())
            }
            (Codec::Zstd, 0) => unzstd(&mut self.zstd, payload, out),
            (Codec::Zstd, 2 | 4 | 8) => {
                // The caller holds as many bytes already: nothing grows by what a header claims.
                self.grouped.resize(out.len(), 0);
                unzstd(&mut self.zstd, payload, &mut self.grouped)?;
                group::ungroup(&self.grouped, group, out);
                Ok(())
            }
            _ => Err(Error::new(
                Kind::Unsupported,
                "group",
                format!("unknown byte grouping {group} of codec {codec:?} in a frame header"),
            )),
        }
    }
}

fn unzstd(zstd: &mut Decompressor<'static>, payload: &[u8], out: &mut [u8]) -> Result<()> {
    if !payload.starts_with(&ZSTD_MAGIC) {
        return Err(corrupt("a zstd payload without its magic".into()));
    }
    let size = zstd_safe::get_frame_content_size(payload).ok().flatten();
    if size != u64::try_from(out.len()).ok() {
        return Err(corrupt(format!("a zstd payload of {size:?} bytes where {} belong", out.len())));
    }
    if zstd_safe::find_frame_compressed_size(payload).ok() != Some(payload.len()) {
        return Err(corrupt("a zstd payload that is cut short or goes on after its frame".into()));
    }
    match zstd.decompress_to_buffer(payload, out) {
        Ok(len) if len == out.len() => Ok(()),
        Ok(len) => Err(corrupt(format!("a zstd payload of {len} bytes where {} belong", out.len()))),
        Err(e) => Err(corrupt(format!("a damaged zstd payload: {e}"))),
    }
}

fn corrupt(message: String) -> Error {
    Error::corrupt("payload", message)
}
