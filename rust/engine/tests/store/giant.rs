//! Batches whose entries do not fit into the memory that they may take (`options` allows 16).

use std::sync::Arc;

use packhouse_engine::cancel::Cancel;
use packhouse_engine::digest;
use packhouse_engine::disk::{Disk, Failure, Fault, Op, SimDisk};
use packhouse_engine::format::{Footer, FrameKind};
use packhouse_engine::store::{BatchOptions, OpenOptions, Store};

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

/// The footers of a store's packs, in no order, and the bytes of all packs.
fn footers(disk: &SimDisk) -> (Vec<Footer>, usize) {
    let mut all = 0;
    let footers = disk.list("packs").unwrap().into_iter().map(|entry| {
        let mut bytes = Vec::new();
        disk.damage(&format!("packs/{}", entry.name), |whole| bytes.clone_from(whole)).unwrap();
        all += bytes.len();
        Footer::of_pack(&bytes).unwrap().1
    });
    (footers.collect(), all)
}

#[test]
fn a_giant_batch_holds_few_descriptors() {
    let disk = SimDisk::new();
    let small_packs = OpenOptions { pack_target: 50_000, ..options() };
    let store = Store::open(Arc::new(disk.clone()), small_packs).unwrap();
    let blobs: Vec<Vec<u8>> = (0..300).map(|i| noise(i, 50_000)).collect();
    save(&store, &blobs);
    let packs = disk.list("packs").unwrap().len();
    // 64 of one blob, 64 of two, the rest of four; the first holds what was small at first.
    assert!((100..170).contains(&packs), "{packs} packs");
    assert_loads(&open(&disk), &blobs);
    assert!(verify(&open(&disk)).findings.is_empty());
}

#[test]
fn what_a_batch_leans_on_stands_in_its_last_pack_alone() {
    let disk = SimDisk::new();
    let known: Vec<Vec<u8>> = (0..1_000).map(|i| noise(i, 40)).collect();
    save(&open(&disk), &known);
    let small_packs = OpenOptions { pack_target: 200_000, ..options() };
    let store = Store::open(Arc::new(disk.clone()), small_packs).unwrap();
    let mut blobs = known.clone();
    blobs.extend((0..40).map(|i| noise(5_000 + i, 50_000)));
    save(&store, &blobs);
    let (footers, all) = footers(&disk);
    let leaned: Vec<usize> = footers.iter().map(|footer| footer.records[0].leaned.len()).collect();
    assert!(leaned.len() > 5, "too few packs");
    assert_eq!(leaned.iter().sum::<usize>(), 1_000, "in {leaned:?}");
    assert!(footers.iter().all(|footer| footer.packs.is_empty() != (footer.records[0].leaned.len() == 1_000)));
    assert!(all < 40 * 50_000 + 2 * 1_000 * 32, "{all} bytes of packs");
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
