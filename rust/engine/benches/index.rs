//! Look-ups of what is stored already: `cargo bench -p packhouse-engine --bench index [-- CHUNKS]`.
//!
//! Generates an index of 10 million chunks in 16 segments (about 700 MB, in `$PACKHOUSE_BENCH_DIR` or the working directory, removed
//! afterwards), opens the store in it, and asks for batches of 1,000 digests, half of them there, on two threads. Prints one line of
//! JSON: seconds to open, look-ups a second, and the memory that the index took.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench fails by panicking"
)]

use std::io::IoSliceMut;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use packhouse_engine::cancel::Cancel;
use packhouse_engine::digest::{self, Digest};
use packhouse_engine::disk::{Disk, RealDisk};
use packhouse_engine::format::contents::SegmentContents;
use packhouse_engine::format::{Entry, FrameKind, PackRow, Settings};
use packhouse_engine::store::{OpenOptions, Store};
use packhouse_engine::{WriterId, chunk, codec};

const SEGMENTS: u64 = 16;
const BATCH: u64 = 1_000;

fn settings() -> Settings {
    Settings {
        store: WriterId::random().unwrap().new_id().unwrap(),
        chunking: chunk::Params::default(),
        zstd_level: codec::DEFAULT_LEVEL,
        retention_ms: 1_209_600_000,
        conditional_writes: true,
        quoted_etags: true,
        list_after_put: true,
        reader_features: Vec::new(),
        writer_features: Vec::new(),
    }
}

fn digest_of(n: u64) -> Digest {
    digest::hash(&n.to_le_bytes())
}

/// One segment with every sixteenth chunk, in packs that are not there: a look-up does not open them.
fn segment(number: u64, chunks: u64) -> SegmentContents {
    let pack = WriterId::random().unwrap().new_id().unwrap();
    let mut offset = 32;
    let mut entries: Vec<Entry> = (0..chunks)
        .map(|n| {
            let entry = Entry {
                digest: digest_of(n * SEGMENTS + number),
                pack,
                offset,
                stored: 65_536,
                raw: 65_536,
                kind: FrameKind::Chunk,
                root: false,
                batch: None,
            };
            offset = entry.end();
            entry
        })
        .collect();
    entries.sort_unstable_by_key(|entry| entry.digest);
    SegmentContents {
        entries,
        packs: vec![PackRow { pack, len: offset, embedded: false }],
        ..SegmentContents::default()
    }
}

/// What the machine allows: blocks of 4 KiB a second that two threads read from the page cache at random places of the same files.
fn reads_per_second(dir: &Path) -> f64 {
    const READS: u64 = 400_000;
    let disk = RealDisk::create(dir).unwrap();
    let files: Vec<_> = disk
        .list("index/1")
        .unwrap()
        .iter()
        .map(|entry| disk.open(&format!("index/1/{}", entry.name)).unwrap().unwrap())
        .map(|file| (file.len().unwrap() / 4096, file))
        .collect();
    let start = Instant::now();
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let files = &files;
            scope.spawn(move || {
                let mut block = [0; 4096];
                let mut n = thread + 1;
                for _ in 0..READS / 2 {
                    n = n.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let (blocks, file) = &files[(n >> 60) as usize % files.len()];
                    file.read_at(&mut [IoSliceMut::new(&mut block)], (n >> 20) % blocks * 4096).unwrap();
                }
            });
        }
    });
    READS as f64 / start.elapsed().as_secs_f64()
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap_or_default().to_owned();
    line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
}

fn main() {
    let chunks: u64 = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(10_000_000);
    let base = std::env::var_os("PACKHOUSE_BENCH_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let dir = base.join(format!(".bench-index-{}", std::process::id()));
    let open = || {
        let options = OpenOptions {
            write: true,
            create: true,
            shared: false,
            settings: settings(),
            threads: 2,
            entries_in_memory: 1 << 16,
            pack_target: 256 << 20,
        };
        Store::open(Arc::new(RealDisk::create(&dir).unwrap()), options).unwrap()
    };
    drop(open());
    for number in 0..SEGMENTS {
        let id = WriterId::random().unwrap().new_id().unwrap();
        let (name, bytes) = segment(number, chunks / SEGMENTS).encode(id, 1, &[]).unwrap();
        std::fs::write(dir.join(format!("index/1/{name}")), bytes).unwrap();
    }
    let chunks = chunks / SEGMENTS * SEGMENTS;
    let before = resident_kib();
    let start = Instant::now();
    let store = open();
    let first = store.named(&[digest_of(0)], &Cancel::new()).unwrap();
    let opened = start.elapsed().as_secs_f64();
    assert!(first[0]);
    // Half there, half not; never the same twice.
    let batch = |round: u64| -> Vec<Digest> {
        (0..BATCH)
            .map(|n| (round * BATCH + n) * 7_919)
            .map(|n| digest_of(if n % 2 == 0 { n % chunks } else { chunks + n }))
            .collect()
    };
    let mut rates = Vec::new();
    let mut found = 0_usize;
    for part in 0..6_u64 {
        let batches: Vec<Vec<Digest>> = (0..200).map(|round| batch(part * 200 + round)).collect();
        let start = Instant::now();
        for digests in &batches {
            found += store.named(digests, &Cancel::new()).unwrap().into_iter().filter(|named| *named).count();
        }
        rates.push(200.0 * BATCH as f64 / start.elapsed().as_secs_f64());
    }
    let memory = resident_kib().saturating_sub(before);
    let limit = reads_per_second(&dir);
    rates.remove(0);
    rates.sort_unstable_by(f64::total_cmp);
    println!(
        "{{\"chunks\": {chunks}, \"segments\": {SEGMENTS}, \"open_seconds\": {opened:.6}, \"lookups_per_second\": {:.0}, \
         \"lowest\": {:.0}, \"highest\": {:.0}, \"hits\": {found}, \"resident_kib\": {memory}, \"reads_per_second\": {limit:.0}}}",
        rates[rates.len() / 2],
        rates[0],
        rates[rates.len() - 1],
    );
    std::fs::remove_dir_all(&dir).unwrap();
}
