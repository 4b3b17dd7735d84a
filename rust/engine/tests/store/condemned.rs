use std::io::IoSlice;

use packhouse_engine::cancel::Cancel;
use packhouse_engine::disk::{Disk, SimDisk};
use packhouse_engine::format::{Mark, SegmentName};
use packhouse_engine::store::BatchOptions;
use packhouse_engine::{Id, Kind, chunk, digest};

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
    assert_eq!(store.committed(id, &Cancel::new()).unwrap(), Some(false));
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

#[test]
fn nothing_of_a_writer_stays_where_nothing_may_be_written() {
    let disk = SimDisk::memory();
    save(&open(&disk), &[noise(1, 100)]);
    disk.stage().unwrap().publish("marks/new-settings").unwrap();
    for _ in 0..3 {
        assert!(try_save(&open(&disk), &[noise(2, 100)]).is_err());
    }
    assert_eq!(disk.list("writers").unwrap(), vec![]);
}

#[test]
fn a_blob_is_not_whole_when_its_recipe_stands_in_a_condemned_pack() {
    let disk = SimDisk::memory();
    let store = open(&disk);
    let long = noise(1, 3_000_000);
    save(&store, std::slice::from_ref(&long));
    let cutter = chunk::Cutter::new(&chunk::Params::default()).unwrap();
    let mut end = 0;
    while end <= chunk::Params::default().max as usize {
        end += cutter.cut(&long[end..], true).unwrap();
    }
    let before = disk.list("index/0").unwrap();
    // All its chunks are known: it adds a recipe and nothing else.
    save(&store, &[long[..end].to_vec()]);
    let added = disk.list("index/0").unwrap().into_iter().find(|entry| !before.contains(entry)).unwrap();
    let key = [digest::hash(&long[..end])];
    assert_eq!(store.are_whole(&key, &Cancel::new()).unwrap(), [true]);
    condemn(&disk, SegmentName::parse(&added.name).unwrap().id);
    assert_eq!(store.are_whole(&key, &Cancel::new()).unwrap(), [false]);
}
