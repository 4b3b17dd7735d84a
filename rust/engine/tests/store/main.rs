//! The store on a simulated disk and on a real folder: what a user would lose.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a test fails by panicking"
)]

mod tools;

mod beside;
mod condemned;
mod crash;
mod damage;
mod documents;
mod giant;
mod machine;
mod merge;
mod roundtrip;
mod share;
mod survey;
