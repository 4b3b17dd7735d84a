//! What the tests share: a store in memory, data, and the shortest ways to save and load.

use std::sync::Arc;

use packhouse_engine::cancel::Cancel;
use packhouse_engine::digest::{self, Digest};
use packhouse_engine::disk::{Disk, SimDisk};
use packhouse_engine::format::Settings;
use packhouse_engine::store::{BatchOptions, OpenOptions, Saved, Store};
use packhouse_engine::{Id, Result, WriterId, chunk};

pub(crate) fn settings() -> Settings {
    Settings {
        store: WriterId::random().unwrap().new_id().unwrap(),
        chunking: chunk::Params::default(),
        zstd_level: 1,
        retention_ms: 14 * 86_400_000,
        conditional_writes: true,
        quoted_etags: true,
        list_after_put: true,
        reader_features: Vec::new(),
        writer_features: Vec::new(),
    }
}

pub(crate) fn options() -> OpenOptions {
    OpenOptions {
        write: true,
        create: true,
        shared: false,
        settings: settings(),
        threads: 2,
        entries_in_memory: 16,
        pack_target: 256 << 20,
    }
}

pub(crate) fn open(disk: &SimDisk) -> Store {
    Store::open(Arc::new(disk.clone()), options()).unwrap()
}

pub(crate) fn open_on(disk: Arc<dyn Disk>) -> Result<Store> {
    Store::open(disk, options())
}

pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    blake3::Hasher::new().update(&seed.to_le_bytes()).finalize_xof().fill(&mut bytes);
    bytes
}

pub(crate) fn text(seed: u64, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len + 64);
    let mut n = seed;
    while out.len() < len {
        out.extend_from_slice(format!("{{\"id\": {n}, \"name\": \"item {}\"}}\n", n % 97).as_bytes());
        n += 1;
    }
    out.truncate(len);
    out
}

pub(crate) fn try_save(store: &Store, blobs: &[Vec<u8>]) -> Result<(Id, Vec<Saved>)> {
    let mut batch = store.begin(BatchOptions::default())?;
    let id = batch.id();
    let items: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    batch.add(&items, &Cancel::new())?;
    store.commit(vec![batch]).remove(0).map(|saved| (id, saved))
}

pub(crate) fn save(store: &Store, blobs: &[Vec<u8>]) -> Vec<Saved> {
    try_save(store, blobs).unwrap().1
}

pub(crate) fn load(store: &Store, key: Digest) -> Result<Option<Vec<u8>>> {
    let located = store.locate(&[(key, None)], &Cancel::new())?.remove(0);
    let Some(located) = located else { return Ok(None) };
    let mut out = vec![0; located.size() as usize];
    store.fetch(&[&located], &mut [&mut out], &Cancel::new()).remove(0)?;
    assert_eq!(digest::hash(&out), key, "a load returned bytes that are not the key's");
    Ok(Some(out))
}

pub(crate) fn assert_loads(store: &Store, blobs: &[Vec<u8>]) {
    let keys: Vec<_> = blobs.iter().map(|blob| (digest::hash(blob), None)).collect();
    let located = store.locate(&keys, &Cancel::new()).unwrap();
    let located: Vec<_> = located.iter().map(|one| one.as_ref().expect("a saved blob is gone")).collect();
    let mut outs: Vec<Vec<u8>> = located.iter().map(|one| vec![0; one.size() as usize]).collect();
    let mut views: Vec<&mut [u8]> = outs.iter_mut().map(Vec::as_mut_slice).collect();
    for result in store.fetch(&located, &mut views, &Cancel::new()) {
        result.unwrap();
    }
    assert!(outs == blobs, "a load returned other bytes than were saved");
}

pub(crate) fn verify(store: &Store) -> packhouse_engine::store::VerifyReport {
    store.verify(&mut |_| {}, &Cancel::new()).unwrap()
}
