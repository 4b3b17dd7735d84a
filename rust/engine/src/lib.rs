//! The storage engine of packhouse: bytes in, packs and segments out, and back.
//!
//! It knows no network, no event loop and no Python. Every call blocks; whoever calls it decides on which thread.
//! The layout of a store and every byte of its files are described in `docs/format.md`.
#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing,
        clippy::arithmetic_side_effects,
        reason = "a test fails by panicking"
    )
)]

pub mod cancel;
pub mod chunk;
pub mod codec;
pub mod crc;
pub mod digest;
pub mod disk;
pub mod error;
pub mod format;
pub mod gzip;
pub mod id;
mod index;
mod mutant;
pub mod names;
pub mod store;

pub use cancel::Cancel;
pub use digest::Digest;
pub use error::{Error, Kind, Refusal, Result};
pub use id::{Id, WriterId};
