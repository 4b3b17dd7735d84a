//! What happens to each byte: hashed, cut, encoded, decoded. One thread, data in the processor's cache but for the large hash.
#![allow(missing_docs, reason = "criterion's macros make public functions")]
#![allow(
    clippy::unwrap_used,
    clippy::arithmetic_side_effects,
    reason = "a benchmark fails by panicking; its sizes are its own"
)]

use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use packhouse_engine::chunk::{Cutter, Params};
use packhouse_engine::codec::{DEFAULT_LEVEL, Decoder, Encoder};
use packhouse_engine::digest;

const CHUNK: usize = 64 << 10;

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn json(len: usize) -> Vec<u8> {
    let lines = noise(len).into_iter().zip(0_u32..).map(|(x, i)| {
        format!("{{\"step\": {i}, \"loss\": 0.{x}{}, \"split\": \"train\", \"ok\": {}}}\n", i % 89, x > 99).into_bytes()
    });
    lines.flatten().take(len).collect()
}

fn ramp(len: usize) -> Vec<u8> {
    (0..len as u32 / 4).flat_map(|i| ((i + 3_000_000) as f32).to_le_bytes()).collect()
}

fn weights(len: usize) -> Vec<u8> {
    let noise = noise(len);
    let words = noise.as_chunks::<4>().0.iter().map(|word| i32::from_le_bytes(*word));
    words.flat_map(|x| (x as f32 / 1e11).to_le_bytes()).collect()
}

fn hash(c: &mut Criterion) {
    let mut group = c.benchmark_group("hash");
    for (name, len, threads) in
        [("10 KiB", 10 << 10, 1), ("64 KiB", CHUNK, 1), ("64 MiB", 64 << 20, 1), ("64 MiB", 64 << 20, 2)]
    {
        let data = noise(len);
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(BenchmarkId::new(name, threads), |b| b.iter(|| digest::hash_parallel(&data, threads)));
    }
}

fn cut(c: &mut Criterion) {
    let mut group = c.benchmark_group("cut");
    let cutter = Cutter::new(&Params::default()).unwrap();
    for (name, data) in [("random", noise(8 << 20)), ("json", json(8 << 20)), ("zeros", vec![0; 8 << 20])] {
        group.throughput(Throughput::Bytes(data.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                let mut rest = &data[..];
                while let Some((_, later)) = cutter.cut(rest, true).and_then(|len| rest.split_at_checked(len)) {
                    rest = later;
                }
            });
        });
    }
}

fn encode_decode(c: &mut Criterion) {
    for len in [10 << 10, CHUNK] {
        let kinds = [("random", noise(len)), ("json", json(len)), ("ramp", ramp(len)), ("weights", weights(len))];
        let mut encoder = Encoder::new(DEFAULT_LEVEL).unwrap();
        let mut group = c.benchmark_group("encode");
        group.throughput(Throughput::Bytes(len as u64));
        for (name, data) in &kinds {
            group.bench_function(BenchmarkId::new(*name, len), |b| {
                b.iter(|| encoder.encode(data).unwrap().payload.len())
            });
        }
        group.finish();
        let mut group = c.benchmark_group("decode");
        group.throughput(Throughput::Bytes(len as u64));
        let (mut decoder, mut out) = (Decoder::new().unwrap(), vec![0; len]);
        for (name, data) in &kinds {
            let encoded = encoder.encode(data).unwrap();
            group.bench_function(BenchmarkId::new(*name, len), |b| {
                b.iter(|| decoder.decode(encoded.codec, encoded.group, &encoded.payload, &mut out).unwrap());
            });
        }
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(10).warm_up_time(Duration::from_millis(200)).measurement_time(Duration::from_secs(1));
    targets = hash, cut, encode_decode
}
criterion_main!(benches);
