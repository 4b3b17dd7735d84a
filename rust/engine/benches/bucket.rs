//! What a handle that knows nothing asks of a bucket with a large index: `cargo bench -p packhouse-engine --bench bucket [-- CHUNKS]`.
//!
//! Generates the index of a bucket with 100 million chunks (about 7 GB, in `$PACKHOUSE_BENCH_DIR` or the working directory, removed
//! afterwards) and saves one GiB beside it. Then new handles look for single keys, save the GiB again, and load it. A folder stands for
//! the bucket: each call is what would be a request. Prints one line of JSON: the most requests and bytes of each.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    reason = "a bench fails by panicking"
)]

use std::fs::{self, File};
use std::io;
use std::io::Write as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use packhouse_engine::cancel::Cancel;
use packhouse_engine::digest::{self, Digest};
use packhouse_engine::disk::{BucketDisk, Bytes, Meta, Objects, Room, Upload};
use packhouse_engine::format::contents::SegmentContents;
use packhouse_engine::format::{Entry, FrameKind, PackRow, Settings};
use packhouse_engine::store::{BatchOptions, OpenOptions, Store};
use packhouse_engine::{WriterId, chunk, codec};

/// So many segments of a level hold such a share of all chunks together: what merges leave behind, at some moment.
const SHAPE: [(u8, u64, f64); 3] = [(0, 12, 0.01), (1, 8, 0.115), (2, 7, 0.875)];
/// Chunks of a pack of 256 MiB.
const PACK: usize = 4096;

/// A folder as a bucket.
#[derive(Debug)]
struct Folder {
    root: PathBuf,
    requests: AtomicU64,
    bytes: AtomicU64,
    told: bool,
}

impl Folder {
    fn count(&self, what: &str, name: &str, bytes: usize) {
        if self.told {
            eprintln!("{what} {name} {bytes}");
        }
        self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn open(&self, name: &str) -> io::Result<File> {
        File::open(self.root.join(name))
    }
}

impl Objects for Folder {
    fn describe(&self) -> String {
        self.root.display().to_string()
    }
    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<(Bytes, u64)> {
        self.count("GET", name, len);
        let file = self.open(name)?;
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset)?;
        Ok((Box::new(bytes), file.metadata()?.len()))
    }
    fn whole(&self, name: &str) -> io::Result<Option<(Vec<u8>, String)>> {
        let found = fs::read(self.root.join(name)).ok();
        self.count("GET", name, found.as_ref().map_or(0, Vec::len));
        Ok(found.map(|bytes| (bytes, "1".to_owned())))
    }
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.count("PUT", name, bytes.len());
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap())?;
        fs::write(path, bytes)
    }
    fn put_if(&self, name: &str, bytes: &[u8], _version: Option<&str>) -> io::Result<()> {
        self.put(name, bytes)
    }
    fn upload(&self, name: &str) -> io::Result<Box<dyn Upload>> {
        let path = self.root.join(name);
        fs::create_dir_all(path.parent().unwrap())?;
        Ok(Box::new(OnItsWay(Arc::new(File::create(path)?))))
    }
    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.root.join(name))
    }
    fn list(&self, prefix: &str, limit: usize) -> io::Result<Vec<(String, u64)>> {
        let mut found = Vec::new();
        let mut folders = vec![self.root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let entry = entry?;
                let name = entry.path().strip_prefix(&self.root).unwrap().to_str().unwrap().to_owned();
                if entry.file_type()?.is_dir() {
                    folders.push(entry.path());
                } else if name.starts_with(prefix) {
                    found.push((name, entry.metadata()?.len()));
                }
            }
        }
        found.sort_unstable();
        found.truncate(limit);
        // Some 300 bytes of XML each, a thousand on a page.
        for page in 0..found.len().div_ceil(1000).max(1) {
            self.count("LIST", prefix, 300 * found.len().saturating_sub(page * 1000).min(1000));
        }
        Ok(found)
    }
    fn head(&self, name: &str) -> io::Result<Option<Meta>> {
        self.count("HEAD", name, 0);
        let found = fs::metadata(self.root.join(name)).ok();
        Ok(found.map(|meta| Meta { len: meta.len(), modified_ms: 0, is_dir: false }))
    }
    fn now_ms(&self) -> i64 {
        0
    }
}

#[derive(Debug)]
struct OnItsWay(Arc<File>);

#[derive(Debug)]
struct Part(Arc<File>, Vec<u8>);

impl Upload for OnItsWay {
    fn room(&self, len: usize) -> io::Result<Box<dyn Room>> {
        Ok(Box::new(Part(Arc::clone(&self.0), vec![0; len])))
    }
    fn finish(self: Box<Self>) -> io::Result<()> {
        Ok(())
    }
}

impl Room for Part {
    fn bytes(&mut self) -> &mut [u8] {
        &mut self.1
    }
    fn send(self: Box<Self>, len: usize) -> io::Result<()> {
        self.0.as_ref().write_all(&self.1[..len])
    }
}

fn digest_of(n: u64) -> Digest {
    digest::hash(&n.to_le_bytes())
}

/// A segment with chunks of its own, in packs that are not there: a look-up does not open them.
fn segment(first: u64, chunks: u64) -> SegmentContents {
    let writer = WriterId::random().unwrap();
    let mut packs = Vec::new();
    let mut entries = Vec::with_capacity(usize::try_from(chunks).unwrap());
    for n in 0..chunks {
        if entries.len() % PACK == 0 {
            packs.push(PackRow { pack: writer.new_id().unwrap(), len: 32, embedded: false });
        }
        let row = packs.last_mut().unwrap();
        let (stored, raw) = (65_536, 65_536);
        let entry = Entry {
            digest: digest_of(first + n),
            pack: row.pack,
            offset: row.len,
            stored,
            raw,
            kind: FrameKind::Chunk,
            root: true,
            batch: None,
        };
        row.len = entry.end();
        entries.push(entry);
    }
    packs.sort_unstable();
    entries.sort_unstable_by_key(|entry| entry.digest);
    SegmentContents { entries, packs, ..SegmentContents::default() }
}

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

/// A new handle does something; how many requests and bytes that took, opening included.
fn cold(root: &Path, work: impl FnOnce(&Store)) -> (u64, u64) {
    let told = std::env::var_os("PACKHOUSE_BENCH_TELL").is_some();
    let folder =
        Arc::new(Folder { root: root.to_owned(), requests: AtomicU64::new(0), bytes: AtomicU64::new(0), told });
    let options = OpenOptions {
        write: true,
        create: true,
        shared: false,
        settings: settings(),
        threads: 16,
        entries_in_memory: 1 << 16,
        pack_target: 256 << 20,
    };
    let store = Store::open(Arc::new(BucketDisk::new(Arc::clone(&folder) as Arc<dyn Objects>, None)), options);
    work(&store.unwrap());
    (folder.requests.load(Ordering::Relaxed), folder.bytes.load(Ordering::Relaxed))
}

fn save(store: &Store, blob: &[u8]) -> bool {
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    batch.add(&[blob], &Cancel::new()).unwrap();
    store.commit(vec![batch]).remove(0).unwrap()[0].existed
}

fn main() {
    let chunks: u64 = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(100_000_000);
    let base = std::env::var_os("PACKHOUSE_BENCH_DIR").map_or_else(|| PathBuf::from("."), PathBuf::from);
    let root = base.join(format!(".bench-bucket-{}", std::process::id()));
    fs::create_dir_all(&root).unwrap();
    let mut blob = vec![0; if chunks < 10_000_000 { 64 << 20 } else { 1 << 30 }];
    blake3::Hasher::new().finalize_xof().fill(&mut blob);
    let key = digest::hash(&blob);
    cold(&root, |store| assert!(!save(store, &blob)));
    let mut first = 0;
    for (level, segments, share) in SHAPE {
        fs::create_dir_all(root.join(format!("index/{level}"))).unwrap();
        for _ in 0..segments {
            let count = (chunks as f64 * share) as u64 / segments;
            let id = WriterId::random().unwrap().new_id().unwrap();
            let (name, bytes) = segment(first, count).encode(id, level, &[]).unwrap();
            fs::write(root.join(format!("index/{level}/{name}")), bytes).unwrap();
            first += count;
        }
    }
    let look = |key: Digest, there: bool| {
        cold(&root, |store| {
            assert_eq!(store.locate(&[(key, None)], &Cancel::new()).unwrap()[0].is_some(), there);
        })
    };
    let hits: Vec<_> = (0..20).map(|n| look(digest_of(n * first / 20), true)).collect();
    let misses: Vec<_> = (0..5).map(|n| look(digest_of(first + n), false)).collect();
    let known = cold(&root, |store| assert!(save(store, &blob)));
    let load = cold(&root, |store| {
        let located = store.locate(&[(key, None)], &Cancel::new()).unwrap();
        let mut out = vec![0; blob.len()];
        store.fetch(&[located[0].as_ref().unwrap()], &mut [&mut out], &Cancel::new()).remove(0).unwrap();
        assert!(out == blob, "other bytes came back");
    });
    let most = |each: &[(u64, u64)]| {
        (each.iter().map(|one| one.0).max().unwrap(), each.iter().map(|one| one.1).max().unwrap())
    };
    let (hit, miss) = (most(&hits), most(&misses));
    println!(
        "{{\"chunks\": {first}, \"segments\": {}, \"blob_bytes\": {}, \"hit_requests\": {}, \"hit_bytes\": {}, \
         \"miss_requests\": {}, \"miss_bytes\": {}, \"known_requests\": {}, \"known_bytes\": {}, \"load_requests\": {}, \
         \"load_bytes\": {}}}",
        SHAPE.iter().map(|(_, segments, _)| segments).sum::<u64>() + 1,
        blob.len(),
        hit.0,
        hit.1,
        miss.0,
        miss.1,
        known.0,
        known.1,
        load.0,
        load.1,
    );
    fs::remove_dir_all(&root).unwrap();
}
