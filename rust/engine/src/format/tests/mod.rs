//! What the format promises to whoever's bytes it holds: they come back, or the damage is noticed.

mod arbitrary;
mod flips;
mod golden;
mod lookup;
mod roundtrip;
mod samples;
