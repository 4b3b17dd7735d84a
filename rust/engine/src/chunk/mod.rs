//! Where to cut a large blob: by content, so that an insertion changes few chunks.

mod cutter;
mod params;

pub use cutter::Cutter;
pub use params::Params;
