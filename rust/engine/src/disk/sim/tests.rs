use super::*;
use std::io::{IoSlice, IoSliceMut};

fn staged(disk: &SimDisk, bytes: &[u8]) -> Box<dyn Staged> {
    let file = disk.stage().unwrap();
    file.write_at(&[IoSlice::new(bytes)], 0).unwrap();
    file
}

fn published(disk: &SimDisk, path: &str, bytes: &[u8], sync: bool) {
    let mut file = staged(disk, bytes);
    if sync {
        file.sync().unwrap();
    }
    file.publish(path).unwrap();
}

fn contents(disk: &SimDisk, path: &str) -> Option<Vec<u8>> {
    let file = disk.open(path).unwrap()?;
    let mut bytes = vec![0; usize::try_from(file.len().unwrap()).unwrap()];
    assert_eq!(file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0).unwrap(), bytes.len());
    Some(bytes)
}

/// What a hundred crashes leave under a path, each outcome once.
fn outcomes(disk: &SimDisk, path: &str) -> Vec<Option<Vec<u8>>> {
    let mut seen: Vec<_> = (0..100).map(|seed| contents(&disk.crash(seed), path)).collect();
    seen.sort();
    seen.dedup();
    seen
}

fn raw(failure: io::Error) -> Option<i32> {
    failure.raw_os_error()
}

#[test]
fn what_was_synced_is_found_after_every_crash() {
    let disk = SimDisk::new();
    disk.create_dir("d").unwrap();
    disk.sync_dir("").unwrap();
    published(&disk, "d/f", &[7; 10_000], true);
    disk.sync_dir("d").unwrap();
    assert_eq!(outcomes(&disk, "d/f"), [Some(vec![7; 10_000])]);
}

#[test]
fn a_name_without_a_folder_sync_may_be_lost_and_so_may_its_folder() {
    let disk = SimDisk::new();
    disk.create_dir("d").unwrap();
    disk.sync_dir("").unwrap();
    published(&disk, "d/f", b"x", true);
    assert_eq!(outcomes(&disk, "d/f"), [None, Some(b"x".to_vec())]);
    disk.create_dir("e").unwrap();
    published(&disk, "e/f", b"x", true);
    disk.sync_dir("e").unwrap();
    assert_eq!(outcomes(&disk, "e/f"), [None, Some(b"x".to_vec())]);
}

#[test]
fn names_are_lost_in_any_order() {
    let disk = SimDisk::new();
    published(&disk, "first", b"x", true);
    published(&disk, "second", b"x", true);
    let found = |seed| {
        let after = disk.crash(seed);
        (contents(&after, "first").is_some(), contents(&after, "second").is_some())
    };
    let mut seen: Vec<_> = (0..200).map(found).collect();
    seen.sort();
    seen.dedup();
    assert_eq!(seen, [(false, false), (false, true), (true, false), (true, true)]);
}

#[test]
fn bytes_without_a_sync_may_be_torn_or_empty_under_a_name_that_stays() {
    let disk = SimDisk::new();
    published(&disk, "f", &[9; 4096 * 3], false);
    disk.sync_dir("").unwrap();
    let seen: Vec<Vec<u8>> = outcomes(&disk, "f").into_iter().map(Option::unwrap).collect();
    assert!(seen.contains(&vec![]) && seen.contains(&vec![9; 4096 * 3]));
    let torn = [vec![9; 4096], vec![0; 4096], vec![9; 4096]].concat();
    assert!(seen.contains(&torn), "a hole between blocks that were kept");
}

#[test]
fn a_replaced_or_removed_name_is_the_old_or_the_new_one() {
    let disk = SimDisk::new();
    published(&disk, "f", b"old", true);
    disk.sync_dir("").unwrap();
    let mut new = staged(&disk, b"new");
    new.sync().unwrap();
    new.replace("f").unwrap();
    assert_eq!(outcomes(&disk, "f"), [Some(b"new".to_vec()), Some(b"old".to_vec())]);
    assert!(disk.remove("f").unwrap());
    assert_eq!(outcomes(&disk, "f"), [None, Some(b"new".to_vec()), Some(b"old".to_vec())]);
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk, "f"), [None]);
}

#[test]
fn the_same_seed_is_the_same_crash() {
    let disk = SimDisk::new();
    for n in 0..20 {
        published(&disk, &format!("f{n}"), &[n; 9000], n % 2 == 0);
    }
    for seed in 0..20 {
        let (one, two) = (disk.crash(seed), disk.crash(seed));
        for n in 0..20 {
            assert_eq!(contents(&one, &format!("f{n}")), contents(&two, &format!("f{n}")));
        }
    }
}

#[test]
fn one_sync_of_everything_covers_files_and_folders_and_parked_ones() {
    let disk = SimDisk::new();
    disk.create_dir("d").unwrap();
    published(&disk, "d/f", &[1; 5000], false);
    let mut parked = disk.park(&[2; 5000]).unwrap();
    disk.sync_all().unwrap();
    parked.replace("d/p").unwrap();
    disk.sync_dir("d").unwrap();
    assert_eq!(outcomes(&disk, "d/f"), [Some(vec![1; 5000])]);
    assert_eq!(outcomes(&disk, "d/p"), [Some(vec![2; 5000])]);
}

#[test]
fn after_a_failed_sync_a_second_one_succeeds_and_the_data_are_lost() {
    let disk = SimDisk::new();
    let mut file = staged(&disk, &[5; 40_000]);
    disk.inject(Fault::on(Op::Sync, 0, Failure::IO));
    assert_eq!(raw(file.sync().unwrap_err()), Some(Errno::IO.raw_os_error()));
    assert!(file.sync().is_err(), "one handle tries once");
    file.publish("f").unwrap();
    disk.sync_all().unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(contents(&disk, "f"), Some(vec![5; 40_000]), "the cache still has them");
    assert!(!outcomes(&disk, "f").contains(&Some(vec![5; 40_000])));
}

#[test]
fn after_a_failed_folder_sync_a_second_one_saves_no_name() {
    let disk = SimDisk::new();
    published(&disk, "f", b"x", true);
    disk.inject(Fault::on(Op::SyncDir, 0, Failure::IO));
    assert!(disk.sync_dir("").is_err());
    disk.sync_dir("").unwrap();
    assert_eq!(outcomes(&disk, "f"), [None, Some(b"x".to_vec())]);
}

#[test]
fn faults_strike_where_they_are_told_and_once() {
    let disk = SimDisk::new();
    disk.inject(Fault::at(2, Failure::DISK_FULL));
    disk.create_dir("a").unwrap();
    disk.create_dir("b").unwrap();
    assert_eq!(raw(disk.create_dir("c").unwrap_err()), Some(Errno::NOSPC.raw_os_error()));
    assert!(disk.create_dir("c").unwrap(), "it had no effect");
    disk.inject(Fault::on(Op::Publish, 0, Failure::AfterEffect(Errno::IO.raw_os_error())));
    assert!(staged(&disk, b"x").publish("f").is_err());
    assert_eq!(contents(&disk, "f"), Some(b"x".to_vec()), "it had its effect");
    disk.inject(Fault::on(Op::Write, 0, Failure::ShortWrite));
    let file = disk.stage().unwrap();
    assert_eq!(raw(file.write_at(&[IoSlice::new(&[1; 10])], 0).unwrap_err()), Some(Errno::NOSPC.raw_os_error()));
    assert_eq!(file.read_at(&mut [IoSliceMut::new(&mut [0; 10])], 0).unwrap(), 5);
    disk.inject(Fault::on(Op::Remove, 0, Failure::INTERRUPTED));
    assert!(disk.remove("f").unwrap(), "interrupted calls are repeated");
}

#[test]
fn a_power_cut_stops_every_process() {
    let disk = SimDisk::new();
    let other = disk.process();
    disk.inject(Fault::at(0, Failure::PowerCut));
    assert!(disk.create_dir("a").is_err());
    assert!(other.create_dir("b").is_err() && disk.list("").is_err());
    let after = disk.crash(1);
    assert_eq!(after.list("").unwrap(), []);
}

#[test]
fn a_killed_process_loses_locks_and_unpublished_files_and_nothing_else() {
    let one = SimDisk::new();
    let two = one.process();
    published(&one, "f", b"x", false);
    let mut staged = staged(&one, b"y");
    let held = one.try_lock("lock", true).unwrap().unwrap();
    assert!(two.try_lock("lock", true).unwrap().is_none() && one.try_lock("lock", true).unwrap().is_none());
    one.kill();
    assert!(staged.publish("g").is_err() && one.list("").is_err());
    assert_eq!(contents(&two, "f"), Some(b"x".to_vec()));
    let taken = two.try_lock("lock", false).unwrap().unwrap();
    drop(held);
    assert!(two.process().try_lock("lock", false).unwrap().is_none(), "the dead holder frees nothing");
    drop(taken);
    assert!(two.process().try_lock("lock", false).unwrap().is_some());
}

#[test]
fn planted_bugs_lose_what_they_should() {
    for (bug, sync_all) in [(Bug::SyncIgnored, false), (Bug::SyncDirIgnored, false), (Bug::SyncAllIgnored, true)] {
        let disk = SimDisk::new();
        disk.plant(bug);
        published(&disk, "f", &[3; 9000], !sync_all);
        if sync_all {
            disk.sync_all().unwrap();
        }
        disk.sync_dir("").unwrap();
        assert!(outcomes(&disk, "f").len() > 1, "{bug:?}");
    }
}

#[test]
fn operations_are_counted_and_written_down() {
    let disk = SimDisk::new();
    disk.create_dir("unseen").unwrap();
    disk.record();
    disk.inject(Fault::on(Op::Stat, 0, Failure::IO));
    disk.create_dir("a").unwrap();
    assert!(disk.process().stat("a").is_err());
    let log = disk.take_log();
    assert_eq!((log[0].op, log[0].path.as_str(), log[0].number, log[0].failure), (Op::CreateDir, "a", 1, None));
    assert_eq!((log[1].op, log[1].process, log[1].failure), (Op::Stat, 1, Some(Failure::IO)));
    assert_eq!((disk.count(Some(Op::CreateDir)), disk.count(None)), (2, 3));
}

#[test]
fn the_clock_is_the_tests_to_set() {
    let disk = SimDisk::new();
    disk.set_clock(42);
    published(&disk, "f", b"x", true);
    disk.set_clock(43);
    assert_eq!(disk.stat("f").unwrap().unwrap().modified_ms, 42);
}

#[test]
fn damage_reaches_the_durable_bytes() {
    let disk = SimDisk::new();
    published(&disk, "f", &[0; 5000], true);
    disk.sync_dir("").unwrap();
    disk.damage("f", |bytes| bytes[4500] ^= 1).unwrap();
    assert_eq!(contents(&disk.crash(0), "f").unwrap()[4500], 1);
    disk.damage("f", |bytes| bytes.truncate(3)).unwrap();
    assert_eq!(contents(&disk.crash(0), "f"), Some(vec![0; 3]));
}

#[test]
fn folders_behave_as_on_a_real_disk() {
    let disk = SimDisk::new();
    assert!(disk.create_dir("d").unwrap() && !disk.create_dir("d").unwrap());
    published(&disk, "d/f", b"x", true);
    assert_eq!(raw(staged(&disk, b"y").publish("d/f").unwrap_err()), Some(Errno::EXIST.raw_os_error()));
    assert_eq!(disk.list("missing").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert_eq!(disk.create_dir("missing/d").unwrap_err().kind(), io::ErrorKind::NotFound);
    assert!(!disk.remove("missing/f").unwrap() && disk.stat("missing/f").unwrap().is_none());
    assert!(disk.open("../x").is_err() && disk.open("/x").is_err() && disk.open("d//f").is_err());
    assert!(disk.remove("d/f").unwrap() && !disk.remove("d/f").unwrap());
}
