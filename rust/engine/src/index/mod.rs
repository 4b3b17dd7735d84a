//! The index: which packs hold which chunks, in immutable sorted segments, level upon level.

mod blocks;
pub(crate) mod by_digest;
pub(crate) mod levels;
pub(crate) mod segment;
pub(crate) mod write;
