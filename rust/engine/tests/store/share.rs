//! Batches of one process that save the same at the same moment.

use packhouse_engine::cancel::Cancel;
use packhouse_engine::disk::{Disk, Failure, Fault, Op, SimDisk};
use packhouse_engine::store::{Batch, BatchOptions, Store};

use crate::tools::*;

fn begin(store: &Store, blobs: &[Vec<u8>]) -> Batch {
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    let items: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    batch.add(&items, &Cancel::new()).unwrap();
    batch
}

/// What every batch saves: a large blob, and small ones that together are more than a small batch holds.
fn same() -> Vec<Vec<u8>> {
    [noise(1, 1_500_000)].into_iter().chain((0..60).map(|i| noise(10 + i, 9_000))).collect()
}

/// The same, and something of its own.
fn mixed(own: u64) -> Vec<Vec<u8>> {
    same().into_iter().chain([noise(500 + own, 20_000)]).collect()
}

fn bytes(disk: &SimDisk) -> u64 {
    let packs = disk.list("packs").unwrap();
    packs.iter().map(|pack| disk.stat(&format!("packs/{}", pack.name)).unwrap().unwrap().len).sum()
}

fn sound(disk: &SimDisk, blobs: &[Vec<u8>]) {
    let store = open(disk);
    assert_loads(&store, blobs);
    let report = verify(&store);
    assert!(report.findings.is_empty() && report.unlisted_packs == 0, "{report:?}");
}

const ONE: u64 = 1_500_000 + 60 * 9_000;

#[test]
fn what_many_batches_save_at_once_is_stored_once_when_they_are_committed_together() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let batches: Vec<Batch> = (0..6).map(|own| begin(&store, &mixed(own))).collect();
    let results = store.commit(batches);
    let mut stored = 0;
    for (own, saved) in results.into_iter().enumerate() {
        let saved = saved.unwrap();
        let keys: Vec<_> = saved.iter().map(|one| (one.key, one.locator.clone())).collect();
        assert!(store.locate(&keys, &Cancel::new()).unwrap().iter().all(Option::is_some));
        assert!(saved.iter().all(|one| one.existed == (one.stored == 0)), "batch {own}");
        stored += saved.iter().map(|one| one.stored).sum::<u64>();
    }
    assert!(bytes(&disk) < ONE * 5 / 4, "{} bytes for {ONE}", bytes(&disk));
    assert!(stored < ONE * 5 / 4, "{stored} bytes told for {ONE}");
    (0..6).for_each(|own| sound(&disk, &mixed(own)));
}

#[test]
fn what_many_batches_save_at_once_is_stored_twice_at_most_whoever_is_committed_first() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let mut batches: Vec<Batch> = (0..5).map(|own| begin(&store, &mixed(own))).collect();
    batches.reverse();
    for batch in batches {
        store.commit(vec![batch]).remove(0).unwrap();
    }
    assert!(bytes(&disk) < ONE * 9 / 4, "{} bytes for {ONE}", bytes(&disk));
    (0..5).for_each(|own| sound(&disk, &mixed(own)));
}

#[test]
fn who_borrowed_from_a_batch_that_was_withdrawn_loses_nothing() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let lender = begin(&store, &mixed(0));
    let borrower = begin(&store, &mixed(1));
    let streamed = {
        let mut batch = store.begin(BatchOptions::default()).unwrap();
        let slot = batch.begin_stream();
        batch.write_stream(slot, &same()[0], &Cancel::new()).unwrap();
        batch.end_stream(slot, &Cancel::new()).unwrap();
        batch
    };
    drop(lender);
    let results = store.commit(vec![streamed, borrower]);
    assert!(results.into_iter().all(|saved| saved.is_ok()));
    assert!(bytes(&disk) < ONE * 9 / 4);
    sound(&disk, &mixed(1));
}

#[test]
fn who_borrowed_from_a_batch_that_failed_in_the_same_commit_loses_nothing() {
    for after in 0..6 {
        let disk = SimDisk::new();
        let store = open(&disk);
        let batches = vec![begin(&store, &mixed(0)), begin(&store, &mixed(1)), begin(&store, &mixed(2))];
        disk.inject(Fault::on(Op::Publish, after, Failure::IO));
        let results = store.commit(batches);
        disk.heal();
        for (own, saved) in (0..).zip(results) {
            if saved.is_ok() {
                assert_loads(&open(&disk), &mixed(own));
            }
        }
        drop(store);
        assert!(verify(&open(&disk)).findings.is_empty(), "publish {after} failed");
    }
}

#[test]
fn a_check_of_what_is_there_does_not_borrow_what_nobody_has_committed() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let lender = begin(&store, &same());
    let mut careful = store.begin(BatchOptions { check: true, ..BatchOptions::default() }).unwrap();
    careful.add(&[&same()[0]], &Cancel::new()).unwrap();
    let saved = store.commit(vec![careful]).remove(0).unwrap();
    assert!(!saved[0].existed);
    drop(lender);
    sound(&disk, &same()[..1]);
}

#[test]
fn a_writer_that_begins_at_any_moment_of_a_commit_takes_nothing_from_it() {
    for strike in 0.. {
        let disk = SimDisk::memory();
        let first = open(&disk.process());
        save(&first, &[noise(0, 100)]);
        let (begun, other) = (Cancel::new(), disk.process());
        let told = begun.clone();
        disk.meanwhile(strike, move || {
            told.cancel();
            save(&open(&other), &[noise(9, 100)]);
        });
        let blobs = [noise(1, 700_000), noise(2, 100)];
        save(&first, &blobs);
        assert_loads(&open(&disk.process()), &blobs);
        assert_eq!(verify(&open(&disk.process())).findings, vec![], "a writer that began before operation {strike}");
        if !begun.is_cancelled() {
            assert!(strike > 10, "hardly any moment of a commit was struck");
            break;
        }
    }
}
