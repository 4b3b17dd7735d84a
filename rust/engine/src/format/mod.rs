//! Bytes to structs and back: the only parser of what stands on a disk or came over a network.
//!
//! `docs/format.md` describes every byte. Nothing here touches a file, nothing panics, and nothing is allocated because a
//! header says so: a count is first held against the bytes that are there. Integers are little-endian; `crc` is CRC-32C.
//!
//! What is wrong has a stable cause: the structure's name (`pack-trailer`, `segment-block`, …) with [`crate::Kind::Corrupt`], or
//! [`crate::Kind::Unsupported`] where the bytes are intact but written for a newer reader.

pub mod blob;
pub mod block;
pub mod contents;
mod cursor;
pub mod damage;
pub mod entry;
pub mod envelope;
pub mod fanout;
pub mod filter;
pub mod footer;
pub mod frame;
pub mod layout;
pub mod locator;
pub mod mark;
pub mod node;
pub mod pack;
pub mod record;
pub mod rows;
pub mod segment;
pub mod settings;
#[cfg(test)]
mod tests;

pub use blob::BlobEntry;
pub use contents::SegmentContents;
pub use damage::DamageNote;
pub use entry::Entry;
pub use envelope::Envelope;
pub use fanout::{FanoutBuilder, FanoutShape};
pub use filter::{FilterBuilder, FilterShape, KeyBits, Probe};
pub use footer::Footer;
pub use frame::{Codec, FrameHeader, FrameKind};
pub use layout::{Layout, Section};
pub use locator::{Locator, Run};
pub use mark::{Mark, MarkName};
pub use node::{Node, NodeRecord};
pub use pack::{PackHeader, PackTrailer};
pub use record::BatchRecord;
pub use rows::{PackRow, PinRow};
pub use segment::{SegmentName, SegmentTrailer};
pub use settings::Settings;

/// The largest chunk, raw or stored: lengths stand in three bytes.
pub const MAX_CHUNK: u32 = 0xFF_FFFF;
/// The end of the last byte of a pack: offsets stand in six bytes.
pub const MAX_PACK: u64 = 0xFFFF_FFFF_FFFF;
/// The version of packs, segments and marks that is written, and the newest that is read.
pub const VERSION: u16 = 1;
