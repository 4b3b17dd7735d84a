use std::io::IoSlice;

use packhouse_engine::cancel::Cancel;
use packhouse_engine::disk::{Disk, SimDisk};
use packhouse_engine::format::Mark;
use packhouse_engine::store::BatchOptions;
use packhouse_engine::{Id, Kind, digest};

use crate::tools::*;

pub(crate) fn condemn(disk: &SimDisk, pack: Id) {
    let mut bytes = Vec::new();
    Mark { pack, time_ms: 0 }.encode(&mut bytes);
    let mut staged = disk.stage().unwrap();
    staged.write_at(&[IoSlice::new(&bytes)], 0).unwrap();
    staged.sync().unwrap();
    staged.publish(&format!("marks/{pack}")).unwrap();
    disk.sync_dir("marks").unwrap();
}

pub(crate) fn packs(disk: &SimDisk) -> Vec<Id> {
    disk.list("packs").unwrap().iter().map(|entry| Id::from_hex(&entry.name).unwrap()).collect()
}

#[test]
fn nothing_leans_on_a_condemned_pack() {
    let disk = SimDisk::memory();
    let blob = noise(1, 1_000_000);
    save(&open(&disk), std::slice::from_ref(&blob));
    let old = packs(&disk)[0];
    condemn(&disk, old);
    let store = open(&disk);
    assert!(!save(&store, std::slice::from_ref(&blob))[0].existed);
    disk.remove(&format!("packs/{old}")).unwrap();
    assert_loads(&open(&disk), &[blob]);
}

#[test]
fn a_pack_that_is_condemned_between_look_up_and_commit_is_copied_out_of() {
    for large in [false, true] {
        let disk = SimDisk::memory();
        let blob = noise(1, if large { 1_000_000 } else { 250_000 });
        let other = noise(2, 250_000);
        let store = open(&disk);
        save(&store, &[blob.clone(), other]);
        let old = packs(&disk)[0];
        let mut batch = store.begin(BatchOptions::default()).unwrap();
        batch.add(&[&blob], &Cancel::new()).unwrap();
        condemn(&disk, old);
        assert!(store.commit(vec![batch]).remove(0).is_ok());
        // What the collector does next.
        disk.remove(&format!("packs/{old}")).unwrap();
        assert_loads(&open(&disk), &[blob]);
    }
}

#[test]
fn a_pack_that_is_gone_between_look_up_and_commit_is_told_not_hidden() {
    let disk = SimDisk::memory();
    let blob = noise(1, 250_000);
    let store = open(&disk);
    save(&store, &[blob.clone(), noise(2, 250_000)]);
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    batch.add(&[&blob], &Cancel::new()).unwrap();
    let id = batch.id();
    disk.remove(&format!("packs/{}", packs(&disk)[0])).unwrap();
    assert_eq!(store.commit(vec![batch]).remove(0).unwrap_err().kind(), Kind::Uncertain);
    assert_eq!(store.committed(id).unwrap(), Some(false));
    assert!(load(&store, digest::hash(&blob)).is_err());
    save(&store, std::slice::from_ref(&blob));
    assert_loads(&store, &[blob]);
}

#[test]
fn an_announcement_that_is_not_known_stops_writing() {
    let disk = SimDisk::memory();
    let store = open(&disk);
    save(&store, &[noise(1, 100)]);
    disk.stage().unwrap().publish("marks/new-settings").unwrap();
    let error = try_save(&open(&disk), &[noise(2, 100)]).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    assert_loads(&open(&disk), &[noise(1, 100)]);
}
