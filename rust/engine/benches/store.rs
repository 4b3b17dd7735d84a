//! Saves and loads of the whole engine in a folder, durable and verified, beside what the machine gives at best.
//!
//! `cargo bench -p packhouse-engine --bench store`; the folder is made in `$PACKHOUSE_BENCH_DIR` or the working directory.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench fails by panicking"
)]

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use packhouse_engine::cancel::Cancel;
use packhouse_engine::disk::RealDisk;
use packhouse_engine::format::Settings;
use packhouse_engine::store::{BatchOptions, OpenOptions, Saved, Store};
use packhouse_engine::{WriterId, chunk, digest};

fn noise(len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().finalize_xof().fill(&mut bytes);
    bytes
}

fn json(len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 128);
    let mut n = 1_u64;
    while out.len() < len {
        n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        writeln!(
            out,
            "{{\"id\": {}, \"name\": \"user-{}\", \"score\": {}.{}}}",
            n >> 40,
            n >> 50,
            n >> 60,
            n >> 52 & 255
        )
        .unwrap();
    }
    out.truncate(len);
    out
}

fn ramp(len: usize) -> Vec<u8> {
    (0_u32..).flat_map(|i| (i as f32 * 0.001).to_le_bytes()).take(len).collect()
}

struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let base = std::env::var_os("PACKHOUSE_BENCH_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
        Self(base.join(format!(".bench-store-{}-{}", std::process::id(), fresh())))
    }

    fn open(&self) -> Store {
        let settings = Settings {
            store: WriterId::random().unwrap().new_id().unwrap(),
            chunking: chunk::Params::default(),
            zstd_level: packhouse_engine::codec::DEFAULT_LEVEL,
            retention_ms: 1_209_600_000,
            conditional_writes: true,
            quoted_etags: true,
            list_after_put: true,
            reader_features: Vec::new(),
            writer_features: Vec::new(),
        };
        let disk = Arc::new(RealDisk::create(&self.0).unwrap());
        Store::open(
            disk,
            OpenOptions {
                write: true,
                create: true,
                shared: false,
                settings,
                threads: 2,
                entries_in_memory: 1 << 16,
                pack_target: 256 << 20,
            },
        )
        .unwrap()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).unwrap();
    }
}

fn fresh() -> u64 {
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// As the Python layer does: groups of about 8 MiB or 2,000 items.
fn save(store: &Store, data: &[u8], blob: usize) -> Vec<Saved> {
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    let items: Vec<&[u8]> = data.chunks(blob).collect();
    for group in items.chunks((8_usize << 20).div_ceil(blob)) {
        batch.add(group, &Cancel::new()).unwrap();
    }
    store.commit(vec![batch]).remove(0).unwrap()
}

fn load(store: &Store, saved: &[Saved], blob: usize) {
    for group in saved.chunks((8_usize << 20).div_ceil(blob)) {
        let keys: Vec<_> = group.iter().map(|one| (one.key, one.locator.clone())).collect();
        let located = store.locate(&keys, &Cancel::new()).unwrap();
        let located: Vec<_> = located.iter().map(|one| one.as_ref().unwrap()).collect();
        let mut outs: Vec<Vec<u8>> = located.iter().map(|one| vec![0; one.size() as usize]).collect();
        let mut views: Vec<&mut [u8]> = outs.iter_mut().map(Vec::as_mut_slice).collect();
        store.fetch(&located, &mut views, &Cancel::new()).into_iter().for_each(|result| result.unwrap());
    }
}

fn timed(rounds: u64, mut one: impl FnMut() -> Duration) -> Duration {
    (0..rounds).map(|_| one()).sum()
}

fn store(c: &mut Criterion) {
    for (name, data) in [("random", noise(256 << 20)), ("json", json(64 << 20)), ("ramp", ramp(64 << 20))] {
        for (shape, blob) in [("10 KiB", 10 << 10), ("4 MiB", 4 << 20), ("64 MiB", 64 << 20)] {
            let data = if blob < 1 << 20 { &data[..64 << 20] } else { &data };
            let mut group = c.benchmark_group(format!("{name}, {shape}"));
            group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
            group.throughput(Throughput::Bytes(data.len() as u64));
            group.bench_function("save", |b| {
                b.iter_custom(|rounds| {
                    timed(rounds, || {
                        let place = Place::new();
                        let store = place.open();
                        let start = Instant::now();
                        save(&store, data, blob);
                        start.elapsed()
                    })
                });
            });
            let place = Place::new();
            let store = place.open();
            let saved = save(&store, data, blob);
            group.bench_function("save again", |b| b.iter(|| save(&store, data, blob)));
            group.bench_function("load", |b| b.iter(|| load(&store, &saved, blob)));
            group.finish();
        }
    }
}

fn limits(c: &mut Criterion) {
    let data = noise(256 << 20);
    let mut group = c.benchmark_group("limits");
    group.sample_size(10).warm_up_time(Duration::from_millis(300)).measurement_time(Duration::from_secs(1));
    group.throughput(Throughput::Bytes(data.len() as u64));
    group.bench_function("hash on two threads", |b| b.iter(|| digest::hash_parallel(&data, 2)));
    group.bench_function("write and sync", |b| {
        b.iter_custom(|rounds| {
            timed(rounds, || {
                let place = Place::new();
                std::fs::create_dir(&place.0).unwrap();
                let start = Instant::now();
                let mut file = std::fs::File::create(place.0.join("file")).unwrap();
                data.chunks(1 << 20).for_each(|part| file.write_all(part).unwrap());
                file.sync_data().unwrap();
                start.elapsed()
            })
        });
    });
    group.finish();
}

criterion_group!(benches, limits, store);
criterion_main!(benches);
