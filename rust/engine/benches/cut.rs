//! How long cutting takes on the bytes of a file: `cargo bench -p packhouse-engine --bench cut -- FILE` prints one line of
//! JSON. `python -m benches` calls it for the limit of compressible data.
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a benchmark fails by panicking; its sizes are its own"
)]

use std::time::{Duration, Instant};

use packhouse_engine::chunk::{Cutter, Params};

const ROUNDS: usize = 3;

fn cut(cutter: &Cutter, mut rest: &[u8]) -> (Duration, usize) {
    let start = Instant::now();
    let mut chunks = 0;
    while let Some((_, later)) = cutter.cut(rest, true).and_then(|len| rest.split_at_checked(len)) {
        rest = later;
        chunks += 1;
    }
    (start.elapsed(), chunks)
}

fn main() {
    let Some(path) = std::env::args().skip(1).find(|argument| argument != "--bench") else {
        println!("not run: it needs a file to cut");
        return;
    };
    let bytes = std::fs::read(path).unwrap();
    let cutter = Cutter::new(&Params::default()).unwrap();
    let (spent, chunks) = (0..ROUNDS).map(|_| cut(&cutter, &bytes)).min().unwrap();
    println!("{{\"seconds\": {:.9}, \"bytes\": {}, \"chunks\": {chunks}}}", spent.as_secs_f64(), bytes.len());
}
