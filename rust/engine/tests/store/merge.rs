use packhouse_engine::cancel::Cancel;
use packhouse_engine::digest;
use packhouse_engine::disk::{Disk, Failure, Fault, SimDisk};
use packhouse_engine::store::BatchOptions;

use crate::tools::*;

fn segments(disk: &SimDisk) -> usize {
    (0..8).map(|level| disk.list(&format!("index/{level}")).unwrap().len()).sum()
}

#[test]
fn many_small_commits_stay_few_files_and_all_loads() {
    let disk = SimDisk::memory();
    let store = open(&disk);
    let blobs: Vec<_> = (0..400).map(|i| if i % 50 == 0 { noise(i, 600_000) } else { noise(i, 900) }).collect();
    let mut ids = Vec::new();
    for blob in &blobs {
        ids.push(try_save(&store, std::slice::from_ref(blob)).unwrap().0);
        store.maintain(&Cancel::new()).unwrap();
    }
    assert!(segments(&disk) <= 40, "{} segments", segments(&disk));
    for level in 0..8 {
        println!("level {level}: {}", disk.list(&format!("index/{level}")).unwrap().len());
    }
    assert_loads(&store, &blobs);
    assert_loads(&open(&disk), &blobs);
    assert_eq!(verify(&store).findings, vec![]);
    assert!(save(&open(&disk), &blobs).iter().all(|saved| saved.existed));
    for id in ids {
        assert_eq!(store.committed(id, &Cancel::new()).unwrap(), Some(true), "a merge lost the record of a batch");
    }
}

#[test]
fn a_reader_that_listed_before_a_merge_still_finds_everything() {
    let disk = SimDisk::memory();
    let writer = open(&disk);
    let blobs: Vec<_> = (0..40).map(|i| noise(i, 2_000)).collect();
    for blob in &blobs {
        save(&writer, std::slice::from_ref(blob));
    }
    let reader = open(&disk.process());
    assert!(load(&reader, digest::hash(&blobs[0])).unwrap().is_some());
    assert!(writer.maintain(&Cancel::new()).unwrap());
    assert_loads(&reader, &blobs);
}

#[test]
fn a_batch_that_leans_on_a_small_pack_which_is_merged_away_meanwhile_is_committed() {
    let disk = SimDisk::memory();
    let (one, two) = (open(&disk), open(&disk.process()));
    let blobs: Vec<_> = (0..40).map(|i| noise(i, 2_000)).collect();
    for blob in &blobs {
        save(&one, std::slice::from_ref(blob));
    }
    let mut batch = two.begin(Default::default()).unwrap();
    let items: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
    batch.add(&items, &Cancel::new()).unwrap();
    assert!(one.maintain(&Cancel::new()).unwrap());
    let saved = two.commit(vec![batch]).remove(0).unwrap();
    assert!(saved.iter().all(|saved| saved.existed));
    assert_loads(&two, &blobs);
}

/// What the batch leans on moves twice: before it is committed, and while that is checked.
#[test]
fn a_batch_is_committed_although_what_it_leans_on_is_merged_at_any_moment_of_the_check() {
    let (made, blobs) = crowded(8 * 17, 900);
    let new: Vec<_> = (0..17).map(|i| noise(5_000 + i, 900)).collect();
    let mut struck = 0;
    for strike in 0.. {
        let disk = made.crash(0);
        let (one, two) = (open(&disk.process()), open(&disk.process()));
        let mut batch = two.begin(Default::default()).unwrap();
        let items: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
        batch.add(&items, &Cancel::new()).unwrap();
        assert!(one.maintain(&Cancel::new()).unwrap(), "the youngest are merged");
        for blob in &new {
            save(&one, std::slice::from_ref(blob));
        }
        let merged = Cancel::new();
        let told = merged.clone();
        disk.meanwhile(strike, move || {
            if one.maintain(&Cancel::new()).unwrap() {
                told.cancel();
            }
        });
        let saved = two.commit(vec![batch]).remove(0);
        let saved = saved.unwrap_or_else(|error| panic!("merged before operation {strike}: {error}"));
        assert!(saved.iter().all(|saved| saved.existed));
        if !merged.is_cancelled() {
            break;
        }
        struck += 1;
        assert_loads(&open(&disk.process()), &blobs);
    }
    assert!(struck > 20, "hardly any moment of a commit was struck: {struck}");
}

/// A store whose index wants merging, and what is in it: twenty segments that become one; or nine of seventeen each, with more than
/// 32 MiB of small packs, that become one with a pack of its own.
fn crowded(commits: usize, len: usize) -> (SimDisk, Vec<Vec<u8>>) {
    let disk = SimDisk::new();
    let store = open(&disk);
    let blobs: Vec<_> = (0..commits).map(|i| noise(i as u64, len)).collect();
    for (at, blob) in blobs.iter().enumerate() {
        save(&store, std::slice::from_ref(blob));
        if commits > 20 && at % 17 == 16 && at + 1 < commits {
            store.maintain(&Cancel::new()).unwrap();
        }
    }
    (disk, blobs)
}

#[test]
fn a_merge_that_dies_at_any_moment_loses_nothing() {
    let (made, blobs) = crowded(20, 900);
    let mut died = 0;
    for n in 0.. {
        let disk = made.crash(0);
        let process = disk.process();
        let store = open(&process);
        process.inject(Fault { process: Some(process.process_number()), ..Fault::at(n, Failure::Kill) });
        let merged = store.maintain(&Cancel::new());
        std::mem::forget(store);
        assert_loads(&open(&disk.process()), &blobs);
        if merged.is_ok_and(|any| any) && segments(&disk) < segments(&made) && died > 0 {
            break;
        }
        died += 1;
    }
    assert!(died > 5, "hardly any moment of a merge was struck");
}

/// Of a store that was closed while its index was merged no file is left that only another writer would clear away.
#[test]
fn a_merge_that_is_given_up_at_any_moment_leaves_nothing_behind() {
    for (commits, len) in [(20, 900), (9 * 17, 250_000)] {
        let (made, blobs) = crowded(commits, len);
        let given_up = |strike: u64| {
            let disk = made.crash(0);
            let store = open(&disk);
            store.writer_id().unwrap();
            let cancel = Cancel::new();
            let raised = cancel.clone();
            disk.meanwhile(strike, move || raised.cancel());
            let before = disk.count(None);
            let merged = cancel.during(|| store.maintain(&cancel));
            let operations = disk.count(None) - before;
            store.close().unwrap();
            let left = disk.list("writers").unwrap();
            assert!(left.is_empty(), "given up before operation {strike}, {merged:?}: {left:?}");
            let again = open(&disk);
            assert_eq!(verify(&again).unlisted_packs, 0, "given up before operation {strike}");
            assert_loads(&again, &blobs);
            (segments(&disk) < segments(&made), disk.list("packs").unwrap().len(), operations)
        };
        let (merged, packs, operations) = given_up(u64::MAX / 2);
        assert!(merged && packs == usize::from(len > 900), "{packs} packs after a merge");
        let last = (0..operations).rev().take(60);
        assert!(last.filter(|strike| given_up(*strike).0).count() > 2, "no merge went on that was given up late");
    }
}

#[test]
fn an_input_that_does_not_verify_is_left_out_and_kept() {
    let disk = SimDisk::memory();
    let store = open(&disk);
    let blobs: Vec<_> = (0..40).map(|i| noise(i, 2_000)).collect();
    for blob in &blobs {
        save(&store, std::slice::from_ref(blob));
    }
    let bad = format!("index/0/{}", disk.list("index/0").unwrap()[7].name);
    disk.damage(&bad, |bytes| bytes[500] ^= 1).unwrap();
    store.maintain(&Cancel::new()).unwrap();
    assert!(disk.stat(&bad).unwrap().is_some());
    let lost = blobs.iter().filter(|blob| load(&store, digest::hash(blob)).is_err()).count();
    assert_eq!(lost, 1);
}

#[test]
fn a_merge_drops_the_record_of_an_old_batch_unless_it_is_pinned_and_keeps_every_blob() {
    const DAY: i64 = 86_400_000;
    let disk = SimDisk::new();
    let start = 1_800_000_000_000;
    disk.set_clock(start);
    let store = open(&disk);
    let mut batches = Vec::new();
    let blobs: Vec<_> = (0..40).map(|i| noise(i, 700)).collect();
    for (day, blob) in (0..).zip(&blobs) {
        disk.set_clock(start + day * DAY);
        let mut batch = store.begin(BatchOptions { pin: day % 2 == 0, ..BatchOptions::default() }).unwrap();
        batches.push(batch.id());
        batch.add(&[blob], &Cancel::new()).unwrap();
        store.commit(vec![batch]).remove(0).unwrap();
    }
    store.maintain(&Cancel::new()).unwrap();
    let store = open(&disk);
    assert_loads(&store, &blobs);
    assert!(verify(&store).findings.is_empty());
    for (day, batch) in batches.iter().enumerate() {
        // The merge was on day 39; the retention is 14 days. Nobody can tell any more of what was dropped.
        let dropped = day % 2 == 1 && day < 39 - 14;
        assert_eq!(store.committed(*batch, &Cancel::new()).unwrap() == Some(true), !dropped, "day {day}");
    }
}

#[test]
fn how_old_a_store_is_says_its_own_clock() {
    let disk = SimDisk::new();
    let start = 1_800_000_000_000;
    disk.set_clock(start);
    let store = open(&disk);
    save(&store, &[noise(1, 100)]);
    let never = store.begin(BatchOptions::default()).unwrap().id();
    // The retention is 14 days. A clock that has gone back tells nothing.
    for (days, expected) in [(0, Some(false)), (13, Some(false)), (15, None), (-1, None)] {
        disk.set_clock(start + days * 86_400_000);
        assert_eq!(store.committed(never, &Cancel::new()).unwrap(), expected, "after {days} days");
    }
}
