//! Batches whose entries do not fit into the memory that they may take (`options` allows 16).

use packhouse_engine::cancel::Cancel;
use packhouse_engine::digest;
use packhouse_engine::disk::{Disk, Failure, Fault, Op, SimDisk};
use packhouse_engine::format::{Footer, FrameKind};
use packhouse_engine::store::BatchOptions;

use crate::tools::*;

/// More than a small batch holds, a large blob among them.
fn blobs() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = (0..300).map(|i| noise(1_000 + i, 2_000)).collect();
    all.insert(150, noise(7, 3_000_000));
    all
}

#[test]
fn what_a_giant_batch_saved_loads_again_and_its_index_is_in_order() {
    let disk = SimDisk::new();
    let saved = save(&open(&disk), &blobs());
    assert!(saved.iter().all(|one| !one.existed && one.locator.is_some()));
    let store = open(&disk);
    assert_loads(&store, &blobs());
    let report = verify(&store);
    assert!(report.findings.is_empty() && report.large_blobs == 1 && report.frames > 300);
    let by_locator: Vec<_> = saved.iter().map(|one| (one.key, one.locator.clone())).collect();
    assert!(store.locate(&by_locator, &Cancel::new()).unwrap().iter().all(Option::is_some));
}

#[test]
fn a_duplicate_is_stored_once_however_long_ago_its_like_came() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut twice = blobs();
    twice.extend(blobs());
    let saved = save(&store, &twice);
    let (first, again) = saved.split_at(301);
    assert!(first.iter().all(|one| !one.existed) && again.iter().all(|one| one.existed && one.stored == 0));
    assert!(first.iter().zip(again).all(|(one, two)| one.key == two.key));
}

#[test]
fn a_chunk_that_is_saved_as_a_blob_later_in_the_batch_is_found_as_one() {
    let disk = SimDisk::new();
    let large = noise(7, 3_000_000);
    save(&open(&disk), std::slice::from_ref(&large));
    let pack = disk.list("packs").unwrap().remove(0).name;
    let mut bytes = Vec::new();
    disk.damage(&format!("packs/{pack}"), |whole| bytes.clone_from(whole)).unwrap();
    let (_, footer) = Footer::of_pack(&bytes).unwrap();
    let chunk = footer.entries.iter().find(|entry| entry.kind == FrameKind::Chunk).unwrap().digest;
    let start = large[..footer.entries[0].raw as usize].to_vec();
    assert_eq!(digest::hash(&start), chunk);

    let disk = SimDisk::new();
    let store = open(&disk);
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    for blob in [large].into_iter().chain((0..100).map(|i| noise(2_000 + i, 9_000))).chain([start.clone()]) {
        batch.add(&[&blob], &Cancel::new()).unwrap();
    }
    let saved = store.commit(vec![batch]).remove(0).unwrap();
    assert!(saved.last().unwrap().existed);
    let keys = open(&disk).keys(None, 1_000, &Cancel::new()).unwrap();
    assert!(keys.iter().any(|(key, _)| *key == chunk));
    assert_loads(&open(&disk), &[start]);
}

#[test]
fn a_giant_batch_whose_notes_cannot_be_read_back_is_not_committed() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    let blobs = blobs();
    let items: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    batch.add(&items, &Cancel::new()).unwrap();
    disk.inject(Fault::on(Op::Read, 3, Failure::IO));
    assert!(store.commit(vec![batch]).remove(0).is_err());
    disk.heal();
    let again = open(&disk);
    assert!(load(&again, digest::hash(&blobs[0])).unwrap().is_none());
    assert_eq!(verify(&again).unlisted_packs, 0);
}
