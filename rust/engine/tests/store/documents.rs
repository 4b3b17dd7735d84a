//! Documents that keep blobs alive: written, checked, told. And who may write at all.

use std::sync::Arc;

use packhouse_engine::digest::{self, Digest};
use packhouse_engine::disk::{Disk, Failure, Fault, FileSystem, Op, SimDisk};
use packhouse_engine::names::{Action, Change, Names, Patience, When};
use packhouse_engine::store::{OpenOptions, Store};
use packhouse_engine::{Cancel, Error, Kind, Result};

use crate::beside::Collected;
use crate::tools::*;

/// Put `{}` under the name `n`, keeping those blobs alive.
fn put(store: &Store, refs: &[Digest]) -> Result<()> {
    let action = Action::Put { document: b"{}", refs, when: When::Always };
    let names = Names::new(store.disk());
    let changed = store.change_names(&names, &[Change { name: "n", action }], &Patience::default());
    changed?.remove(0).map(drop)
}

fn is_written(store: &Store) -> bool {
    Names::new(store.disk()).get(&["n"], &Cancel::new()).unwrap().remove(0).is_ok()
}

fn what(error: &Error) -> (Kind, &str) {
    (error.kind(), error.cause())
}

#[test]
fn a_document_is_not_put_for_a_blob_that_is_not_there() {
    let store = open(&SimDisk::memory());
    assert_eq!(what(&put(&store, &[digest::hash(b"x")]).unwrap_err()), (Kind::NotFound, "ref-not-found"));
    assert!(!is_written(&store));
}

#[test]
fn a_document_that_names_many_blobs_costs_no_look_at_the_disk_for_each() {
    let looks = |blobs: u64| {
        let disk = SimDisk::memory();
        let store = open(&disk);
        save(&store, &(0..blobs).map(|seed| noise(seed, 2_000)).collect::<Vec<_>>());
        let keys: Vec<Digest> = (0..blobs).map(|seed| digest::hash(&noise(seed, 2_000))).collect();
        let before = disk.count(Some(Op::Stat));
        put(&store, &keys).unwrap();
        disk.count(Some(Op::Stat)) - before
    };
    assert_eq!(looks(200), looks(150));
}

#[test]
fn a_blob_that_goes_while_a_document_for_it_is_put_is_told() {
    let disk = SimDisk::memory();
    let blob = noise(1, 300_000);
    save(&open(&disk), std::slice::from_ref(&blob));
    save(&open(&disk), &[noise(2, 100)]); // a second segment: the collector marks the pack and leaves it there
    let collected = Collected::new(&disk);
    let store = open_on(Arc::clone(&collected) as Arc<dyn Disk>).unwrap();
    save(&store, &[noise(3, 100)]);
    collected.strike(1);
    assert_eq!(what(&put(&store, &[digest::hash(&blob)]).unwrap_err()), (Kind::Uncertain, "refs-lost"));
    assert!(is_written(&store));
}

#[test]
fn a_disk_that_fails_after_a_document_was_written_is_not_told_as_a_lost_blob() {
    let mut after = 0;
    for n in 0.. {
        let disk = SimDisk::memory();
        let blob = noise(1, 300_000);
        let store = open(&disk);
        save(&store, std::slice::from_ref(&blob));
        (n..n + 8).for_each(|n| disk.inject(Fault::on(Op::List, n, Failure::IO)));
        let Err(error) = put(&store, &[digest::hash(&blob)]) else { break };
        disk.heal();
        if is_written(&store) {
            assert_eq!(what(&error), (Kind::Uncertain, "name-uncertain"));
            after += 1;
        } else {
            assert_eq!(what(&error), (Kind::Io, "io"));
        }
    }
    assert!(after > 0, "no listing after the write was struck");
}

/// The place of a blob is in a part of the index that cannot be read.
#[test]
fn a_blob_is_not_told_as_missing_because_the_index_cannot_be_read() {
    let disk = SimDisk::memory();
    let blob = noise(1, 300_000);
    let (batch, _) = try_save(&open(&disk), std::slice::from_ref(&blob)).unwrap();
    let segment = format!("index/0/{}", disk.list("index/0").unwrap()[0].name);
    disk.damage(&segment, |bytes| bytes[40] ^= 1).unwrap();
    let store = open(&disk);
    assert_eq!(what(&put(&store, &[digest::hash(&blob)]).unwrap_err()), (Kind::Corrupt, "index"));
    assert!(!is_written(&store));
    assert_eq!(what(&store.committed(batch, &Cancel::new()).unwrap_err()), (Kind::Corrupt, "index"));

    let disk = SimDisk::memory();
    let (batch, _) = try_save(&open(&disk), std::slice::from_ref(&blob)).unwrap();
    let mut struck = 0;
    for n in 0..20 {
        let store = open(&disk);
        disk.inject(Fault::on(Op::Read, n, Failure::IO));
        let told = store.committed(batch, &Cancel::new());
        disk.heal();
        struck += usize::from(told.is_err());
        assert!(told.is_err() || told.as_ref().is_ok_and(|known| *known == Some(true)), "read {n}: {told:?}");
    }
    assert!(struck > 0, "no read was struck");
}

#[test]
fn an_announcement_that_is_not_known_stops_documents_too() {
    for sees_it_while_saving in [false, true] {
        let disk = SimDisk::memory();
        let store = open(&disk);
        put(&store, &[]).unwrap();
        disk.stage().unwrap().publish("marks/new-settings").unwrap();
        if sees_it_while_saving {
            assert!(try_save(&store, &[noise(1, 100)]).is_err());
            disk.remove("marks/new-settings").unwrap();
        }
        assert_eq!(what(&put(&store, &[]).unwrap_err()), (Kind::Unsupported, "announcement"));
    }
}

#[test]
fn a_folder_that_others_answer_for_is_written_to_only_when_asked() {
    let disk = SimDisk::memory();
    for (file_system, name) in [(FileSystem::Network("nfs"), "nfs"), (FileSystem::UserSpace, "user-space")] {
        let there = || Arc::new(disk.clone().on(file_system)) as Arc<dyn Disk>;
        let error = Store::open(there(), options()).unwrap_err();
        assert_eq!((error.kind(), error.cause()), (Kind::Unsupported, "shared-file-system"));
        assert!(error.to_string().contains(name), "{error}");
        assert_eq!(Store::open(there(), OpenOptions { write: false, ..options() }).unwrap_err().cause(), "no-store");
    }
    let there = || Arc::new(disk.clone().on(FileSystem::Network("nfs"))) as Arc<dyn Disk>;
    let shared = Store::open(there(), OpenOptions { shared: true, ..options() }).unwrap();
    save(&shared, &[noise(1, 100)]);
    assert_loads(&Store::open(there(), OpenOptions { write: false, ..options() }).unwrap(), &[noise(1, 100)]);
}
