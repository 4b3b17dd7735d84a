//! Back from a frame's payload to the chunk. What comes in is foreign: every length is checked before a byte is written.

use zstd::bulk::Decompressor;
use zstd::zstd_safe;

use super::{Codec, frames, group};
use crate::{Error, Kind, Result};

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
                if self.grouped.len() < out.len() {
                    self.grouped.resize(out.len(), 0);
                }
                let grouped = self.grouped.get_mut(..out.len()).unwrap_or_default();
                unzstd(&mut self.zstd, payload, grouped)?;
                group::ungroup(grouped, group, out);
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
    let size = content_size(payload).ok_or_else(|| corrupt("a payload that is not made of zstd frames".into()))?;
    if u64::try_from(out.len()).ok() != Some(size) {
        return Err(corrupt(format!("a zstd payload of {size} bytes where {} belong", out.len())));
    }
    match zstd.decompress_to_buffer(payload, out) {
        Ok(len) if len == out.len() => Ok(()),
        Ok(len) => Err(corrupt(format!("a zstd payload of {len} bytes where {} belong", out.len()))),
        Err(e) => Err(corrupt(format!("a damaged zstd payload: {e}"))),
    }
}

/// The content sizes that a payload's frames state, added up; `None` if it is anything but complete zstd frames.
fn content_size(mut payload: &[u8]) -> Option<u64> {
    let mut size = 0_u64;
    for _ in 0..frames::MOST {
        if !payload.starts_with(&frames::MAGIC) {
            return None;
        }
        size = size.checked_add(zstd_safe::get_frame_content_size(payload).ok()??)?;
        let len = zstd_safe::find_frame_compressed_size(payload).ok()?;
        payload = payload.get(len..)?;
        if payload.is_empty() {
            return Some(size);
        }
    }
    None
}

fn corrupt(message: String) -> Error {
    Error::corrupt("payload", message)
}
