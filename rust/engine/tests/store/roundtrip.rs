use std::sync::Arc;

use packhouse_engine::Kind;
use packhouse_engine::cancel::Cancel;
use packhouse_engine::digest;
use packhouse_engine::disk::{Disk, Op, RealDisk, SimDisk};
use packhouse_engine::store::{BatchOptions, Item, OpenOptions};

use crate::tools::*;

fn blobs() -> Vec<Vec<u8>> {
    let mut blobs = vec![
        Vec::new(),
        vec![0],
        text(1, 100),
        noise(2, 10_000),
        text(3, 300_000),
        noise(4, 262_144),
        noise(5, 262_145),
    ];
    blobs.push(noise(6, 5_000_000));
    blobs.push(vec![0; 3_000_000]);
    blobs.push(text(7, 20_000_000));
    blobs.extend((0..500).map(|i| noise(100 + i, 3_000 + i as usize)));
    blobs
}

fn check(disk: Arc<dyn Disk>) {
    let store = open_on(Arc::clone(&disk)).unwrap();
    let blobs = blobs();
    let first = save(&store, &blobs);
    for (saved, blob) in first.iter().zip(&blobs) {
        assert_eq!(saved.key, digest::hash(blob));
        assert_eq!(saved.size, blob.len() as u64);
        assert!(!saved.existed);
    }
    assert_loads(&store, &blobs);
    let again = save(&store, &blobs);
    assert!(again.iter().all(|saved| saved.existed && saved.stored == 0));
    let report = verify(&store);
    assert_eq!(report.findings, vec![]);
    store.close().unwrap();
    drop(store);
    let reader =
        packhouse_engine::store::Store::open(disk, OpenOptions { write: false, create: false, ..options() }).unwrap();
    assert_loads(&reader, &blobs);
    assert_eq!(reader.begin(BatchOptions::default()).unwrap_err().kind(), Kind::ReadOnly);
}

#[test]
fn what_was_saved_loads_again_in_memory() {
    check(Arc::new(SimDisk::memory()));
}

#[test]
fn what_was_saved_loads_again_from_a_folder() {
    let dir = std::env::temp_dir().join(format!("packhouse-roundtrip-{}", std::process::id()));
    check(Arc::new(RealDisk::create(&dir).unwrap()));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn blobs_that_may_change_are_copied_where_they_are_new_and_found_where_they_are_not() {
    let store = open(&SimDisk::memory());
    let blobs = blobs();
    let small: Vec<Vec<u8>> = blobs.iter().filter(|blob| blob.len() < 4_000).cloned().collect();
    let save_changing = |blobs: &[Vec<u8>]| {
        let mut batch = store.begin(BatchOptions::default()).unwrap();
        let item = |(at, bytes)| Item { bytes, changes: at % 3 != 0 };
        let items: Vec<Item<'_>> = blobs.iter().map(Vec::as_slice).enumerate().map(item).collect();
        batch.add_items(&items, &Cancel::new()).unwrap();
        store.commit(vec![batch]).remove(0).unwrap()
    };
    // Alone, a small batch that has listed nothing yet, mixed with what is new, and all of them known.
    for (blobs, known) in [(&small[3..5], 0), (&small[4..6], 1), (&blobs[..], 3), (&blobs[..], blobs.len())] {
        let saved = save_changing(blobs);
        assert_eq!(saved.iter().filter(|one| one.existed).count(), known);
        assert!(saved.iter().all(|one| !one.existed || one.stored == 0));
        assert!(saved.iter().zip(blobs).all(|(one, blob)| one.key == digest::hash(blob)));
        assert_loads(&store, blobs);
    }
    assert_eq!(verify(&store).findings, vec![]);
}

#[test]
fn a_large_blob_that_may_change_is_taken_where_it_stands_only_if_all_of_it_is_there() {
    let store = open(&SimDisk::memory());
    let blob = noise(1, 20_000_000);
    let mut other = blob.clone();
    *other.last_mut().unwrap() ^= 1;
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    assert!(!batch.add_known(&blob, &Cancel::new()).unwrap());
    assert!(batch.is_empty());
    batch.add(&[&blob], &Cancel::new()).unwrap();
    store.commit(vec![batch]).remove(0).unwrap();

    let mut batch = store.begin(BatchOptions::default()).unwrap();
    assert!(!batch.add_known(&other, &Cancel::new()).unwrap());
    assert!(batch.add_known(&blob, &Cancel::new()).unwrap());
    assert!(!batch.add_known(&blob[1..], &Cancel::new()).unwrap());
    let saved = store.commit(vec![batch]).remove(0).unwrap();
    assert_eq!(saved.iter().map(|one| (one.key, one.existed)).collect::<Vec<_>>(), [(digest::hash(&blob), true)]);
    let cancelled = Cancel::new();
    cancelled.cancel();
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    assert_eq!(batch.add_known(&blob, &cancelled).unwrap_err().kind(), Kind::Cancelled);
}

#[test]
fn a_stream_has_the_key_and_the_chunks_of_the_whole_blob() {
    let store = open(&SimDisk::memory());
    let blob = noise(1, 9_000_000);
    let whole = save(&store, std::slice::from_ref(&blob));
    for piece in [1_000, 65_537, 1_000_000, 8_000_000] {
        let mut batch = store.begin(BatchOptions::default()).unwrap();
        let slot = batch.begin_stream();
        batch.add(&[b"beside"], &Cancel::new()).unwrap();
        for part in blob.chunks(piece) {
            batch.write_stream(slot, part, &Cancel::new()).unwrap();
        }
        batch.end_stream(slot, &Cancel::new()).unwrap();
        let saved = store.commit(vec![batch]).remove(0).unwrap();
        assert_eq!(saved[0].key, whole[0].key);
        assert!(saved[0].existed, "in pieces of {piece} the chunks were others");
        assert_eq!(saved[1].key, digest::hash(b"beside"));
    }
    for len in [0, 1, 262_144, 262_145] {
        let blob = noise(len as u64, len);
        let mut batch = store.begin(BatchOptions::default()).unwrap();
        let slot = batch.begin_stream();
        blob.chunks(7_777).for_each(|part| batch.write_stream(slot, part, &Cancel::new()).unwrap());
        batch.end_stream(slot, &Cancel::new()).unwrap();
        store.commit(vec![batch]).remove(0).unwrap();
        assert_eq!(load(&store, digest::hash(&blob)).unwrap(), Some(blob));
    }
}

#[test]
fn a_stream_of_the_largest_chunks_length_is_one_chunk_as_its_bytes_are() {
    for pieces in [&[262_144][..], &[262_143, 1], &[1, 262_143], &[200_000, 62_144]] {
        let store = open(&SimDisk::memory());
        let blob = noise(1, 262_144);
        let mut batch = store.begin(BatchOptions::default()).unwrap();
        let slot = batch.begin_stream();
        let mut at = 0;
        for len in pieces {
            batch.write_stream(slot, &blob[at..at + len], &Cancel::new()).unwrap();
            at += len;
        }
        batch.end_stream(slot, &Cancel::new()).unwrap();
        store.commit(vec![batch]).remove(0).unwrap();
        assert!(save(&store, std::slice::from_ref(&blob))[0].existed, "it was stored as several chunks");
        assert_loads(&store, &[blob]);
    }
}

#[test]
fn who_is_cancelled_reads_nothing_more() {
    let disk = SimDisk::memory();
    let large = noise(1, 3_000_000);
    save(&open(&disk), std::slice::from_ref(&large));
    let store = open(&disk);
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    let id = batch.id();
    let located = store.locate(&[(digest::hash(&large), None)], &Cancel::new()).unwrap().remove(0).unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    let before = disk.count(Some(Op::Read));
    let mut out = vec![0; large.len()];
    let kind = |result: packhouse_engine::Result<()>| result.unwrap_err().kind();
    assert_eq!(kind(store.fetch(&[&located], &mut [&mut out], &cancel).remove(0)), Kind::Cancelled);
    assert_eq!(kind(store.fetch_range(&located, 0, &mut out, &cancel)), Kind::Cancelled);
    assert_eq!(kind(batch.add(&[&large], &cancel)), Kind::Cancelled);
    assert_eq!(disk.count(Some(Op::Read)), before);
    assert_eq!(kind(store.committed(id, &cancel).map(drop)), Kind::Cancelled);
}

#[test]
fn a_range_is_what_a_slice_of_the_blob_is() {
    let store = open(&SimDisk::memory());
    let blobs = vec![noise(1, 3_000_000), text(2, 50_000)];
    save(&store, &blobs);
    for blob in &blobs {
        let located = store.locate(&[(digest::hash(blob), None)], &Cancel::new()).unwrap().remove(0).unwrap();
        for (start, stop) in [(0, 0), (0, 1), (17, 40_000), (49_999, 50_000), (1_000, 50_000)] {
            let mut out = vec![0; stop - start];
            store.fetch_range(&located, start as u64, &mut out, &Cancel::new()).unwrap();
            assert!(out == blob[start..stop]);
        }
        let mut out = vec![0; 2];
        let error = store.fetch_range(&located, blob.len() as u64 - 1, &mut out, &Cancel::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::Invalid);
    }
}

#[test]
fn a_kilobyte_inserted_in_the_middle_adds_little() {
    let store = open(&SimDisk::memory());
    let mut blob = noise(1, 32 << 20);
    save(&store, std::slice::from_ref(&blob));
    let middle = blob.len() / 2;
    blob.splice(middle..middle, noise(2, 1024));
    let saved = save(&store, &[blob]);
    assert!(saved[0].stored < 300_000, "{} bytes were added", saved[0].stored);
}

#[test]
fn locators_lead_to_the_blob_and_wrong_ones_do_no_harm() {
    let store = open(&SimDisk::memory());
    let blobs: Vec<_> = (0..50).map(|i| noise(i, 5_000)).chain([noise(99, 2_000_000)]).collect();
    let saved = save(&store, &blobs);
    let keys: Vec<_> = saved.iter().map(|one| (one.key, one.locator.clone())).collect();
    assert!(keys.iter().all(|(_, locator)| locator.is_some()));
    let shifted: Vec<_> =
        keys.iter().zip(keys.iter().cycle().skip(1)).map(|((key, _), (_, other))| (*key, other.clone())).collect();
    for keys in [keys, shifted] {
        let located = store.locate(&keys, &Cancel::new()).unwrap();
        for (located, blob) in located.iter().zip(&blobs) {
            let located = located.as_ref().unwrap();
            if located.size() == blob.len() as u64 {
                let mut out = vec![0; blob.len()];
                store.fetch(&[located], &mut [&mut out], &Cancel::new()).remove(0).unwrap();
                assert!(out == *blob);
            }
        }
    }
}

#[test]
fn several_batches_share_a_commit_and_each_gets_its_results() {
    let disk = SimDisk::memory();
    let store = open(&disk);
    let mut batches = Vec::new();
    for i in 0..10_u64 {
        let mut batch = store.begin(BatchOptions::default()).unwrap();
        batch.add(&[&noise(i, 4_000), b"the same in all"], &Cancel::new()).unwrap();
        if i == 3 {
            batch.add(&[&noise(50, 1_000_000)], &Cancel::new()).unwrap();
        }
        batches.push(batch);
    }
    let ids: Vec<_> = batches.iter().map(|batch| batch.id()).collect();
    let results = store.commit(batches);
    assert_eq!(disk.list("index/0").unwrap().len(), 1);
    for (i, result) in results.into_iter().enumerate() {
        let saved = result.unwrap();
        assert_eq!(saved[0].key, digest::hash(&noise(i as u64, 4_000)));
        assert_eq!(store.committed(ids[i], &Cancel::new()).unwrap(), Some(true));
    }
    assert_eq!(load(&store, digest::hash(&noise(50, 1_000_000))).unwrap().unwrap().len(), 1_000_000);
    assert_eq!(verify(&store).findings, vec![]);
    let never = store.begin(BatchOptions::default()).unwrap();
    assert_eq!(store.committed(never.id(), &Cancel::new()).unwrap(), Some(false));
}

#[test]
fn a_withdrawn_batch_leaves_nothing_behind() {
    let disk = SimDisk::memory();
    let store = open(&disk);
    save(&store, &[noise(0, 100)]);
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    batch.add(&[&noise(1, 4_000_000)], &Cancel::new()).unwrap();
    drop(batch);
    assert_eq!(load(&store, digest::hash(&noise(1, 4_000_000))).unwrap(), None);
    assert_eq!(disk.list("packs").unwrap(), vec![]);
    assert_eq!(disk.list("tmp").unwrap(), vec![]);
    let cancelled = Cancel::new();
    cancelled.cancel();
    let mut batch = store.begin(BatchOptions::default()).unwrap();
    assert_eq!(batch.add(&[&noise(2, 4_000_000)], &cancelled).unwrap_err().kind(), Kind::Cancelled);
}

#[test]
fn a_folder_that_holds_other_things_is_not_made_a_store() {
    let dir = std::env::temp_dir().join(format!("packhouse-other-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::write(dir.join("thesis.txt"), "mine").unwrap();
    let error = open_on(Arc::new(RealDisk::open(&dir).unwrap())).unwrap_err();
    assert_eq!((error.kind(), error.cause()), (Kind::NotAStore, "not-empty"));
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1);
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_large_blob_that_was_saved_alone_can_be_told_in_one_run() {
    for blob in [noise(1, 300_000), noise(2, 3_000_000), text(3, 2_000_000)] {
        let disk = SimDisk::new();
        let saved = save(&open(&disk), &[noise(9, 1_000), blob.clone()]);
        let locator = saved[1].locator.clone().expect("a blob that lies in one run has a locator");
        assert_eq!(locator.runs.len(), 1);
        let run = &locator.runs[0];
        let store = open(&disk);
        let pack = if disk.stat(&format!("packs/{}", run.pack)).unwrap().is_some() {
            format!("packs/{}", run.pack)
        } else {
            format!("index/0/{}", disk.list("index/0").unwrap()[0].name)
        };
        let mut frame = Vec::new();
        let at = usize::try_from(run.offset).unwrap();
        disk.damage(&pack, |bytes| frame.extend_from_slice(&bytes[at..at + 64])).unwrap();
        let first = packhouse_engine::format::FrameHeader::decode(&frame).unwrap();
        assert_eq!(first.digest, digest::hash(&blob[..first.raw as usize]));
        let located = store.locate(&[(saved[1].key, Some(locator))], &Cancel::new()).unwrap().remove(0).unwrap();
        let mut out = vec![0; blob.len()];
        store.fetch(&[&located], &mut [&mut out], &Cancel::new()).remove(0).unwrap();
        assert!(out == blob);
    }
}
