//! Documents when the power goes, a process dies or the disk fails.

use super::*;

/// A disk with the documents `old/0` … `old/{count}`, all durable.
fn prepared(count: usize) -> SimDisk {
    let disk = SimDisk::new();
    let all: Vec<String> = (0..count).map(|n| format!("old/{n}")).collect();
    let changes: Vec<_> = all.iter().map(|name| put(name, b"old", When::Absent)).collect();
    assert!(names(&disk).apply(WRITER, &changes, &Patience::default()).unwrap().iter().all(Result::is_ok));
    disk
}

/// Replace the old documents, put as many new ones, delete the first: what a batch can do.
fn change_all(store: &Names, count: usize) -> Result<Vec<Outcome>> {
    let old: Vec<String> = (0..count).map(|n| format!("old/{n}")).collect();
    let new: Vec<String> = (0..count).map(|n| format!("new/{n}/x")).collect();
    let mut changes: Vec<_> = old.iter().skip(1).map(|name| put(name, b"new", When::Always)).collect();
    changes.extend(new.iter().map(|name| put(name, b"new", When::Absent)));
    changes.push(delete("old/0", None));
    store.apply(WRITER, &changes, &Patience::default())
}

/// What is wrong: every document must be the old or the new one; the new one where this was told, the old one where an error
/// says that nothing happened.
fn wrong(disk: &SimDisk, count: usize, told: Option<&[Outcome]>) -> Option<String> {
    let store = names(disk);
    let bad = |at: usize, name: String, old: Option<&[u8]>, new: Option<&[u8]>| {
        let found = match get(&store, &name) {
            Ok(found) => Some(found.document),
            Err(e) if e.kind() == Kind::NameNotFound => None,
            Err(e) => return Some(format!("{name}: {e:?}")),
        };
        let right = match told.map(|all| &all[at]) {
            None => found.as_deref() == old || found.as_deref() == new,
            Some(Ok(_)) => found.as_deref() == new,
            Some(Err(e)) if e.kind() == Kind::Uncertain => found.as_deref() == old || found.as_deref() == new,
            Some(Err(_)) => found.as_deref() == old,
        };
        (!right).then(|| format!("{name}: {found:?}, told: {:?}", told.map(|all| &all[at])))
    };
    let (old, new) = (Some(&b"old"[..]), Some(&b"new"[..]));
    let listed = list(&store, "").into_iter().find(|name| get(&store, name).is_err());
    (1..count)
        .find_map(|n| bad(n - 1, format!("old/{n}"), old, new))
        .or_else(|| (0..count).find_map(|n| bad(count - 1 + n, format!("new/{n}/x"), None, new)))
        .or_else(|| bad(2 * count - 1, "old/0".into(), old, None))
        .or(listed)
}

fn check_after(disk: &SimDisk, count: usize, told: Option<&[Outcome]>) {
    assert_eq!(wrong(disk, count, told), None);
}

/// The number of operations that `change_all` takes.
fn operations(count: usize) -> u64 {
    let disk = prepared(count);
    let before = disk.count(None);
    change_all(&names(&disk), count).unwrap();
    disk.count(None) - before
}

#[test]
fn a_power_cut_at_any_operation_leaves_old_or_new_documents_never_torn_ones() {
    for count in [2, 12] {
        for at in 0..=operations(count) {
            let disk = prepared(count);
            disk.inject(Fault::at(at, Failure::PowerCut));
            let told = change_all(&names(&disk), count).ok();
            for seed in 0..6 {
                check_after(&disk.crash(at * 100 + seed), count, told.as_deref());
            }
        }
    }
}

#[test]
fn a_process_killed_at_any_operation_leaves_old_or_new_documents_and_no_lock() {
    for count in [2, 12] {
        for at in 0..operations(count) {
            let disk = prepared(count);
            let writer = disk.process();
            writer.inject(Fault { process: Some(writer.process_number()), ..Fault::at(at, Failure::Kill) });
            let told = change_all(&names(&writer), count).ok();
            check_after(&disk, count, told.as_deref());
            let again = change_all(&names(&disk), count).unwrap();
            assert!(again[..count - 1].iter().all(Result::is_ok), "{again:?}");
        }
    }
}

#[test]
fn an_error_at_any_operation_is_reported_and_nothing_told_is_lost() {
    let errors = [
        Failure::IO,
        Failure::DISK_FULL,
        Failure::INTERRUPTED,
        Failure::ShortWrite,
        Failure::AfterEffect(rustix::io::Errno::IO.raw_os_error()),
    ];
    for count in [2, 12] {
        for (at, failure) in (0..operations(count)).flat_map(|at| errors.map(|failure| (at, failure))) {
            let disk = prepared(count);
            disk.inject(Fault::at(at, failure));
            let told = change_all(&names(&disk), count).ok();
            disk.heal();
            check_after(&disk, count, told.as_deref());
            for seed in 0..2 {
                check_after(&disk.crash(seed), count, told.as_deref());
            }
            // A new process can go on.
            let again = change_all(&names(&disk.process()), count).unwrap();
            assert!(again[..count - 1].iter().all(Result::is_ok), "{at} {failure:?}: {again:?}");
        }
    }
}

#[test]
fn after_a_failed_folder_sync_the_change_is_uncertain_and_no_more_is_written() {
    let disk = prepared(1);
    let store = names(&disk);
    disk.inject(Fault::on(Op::SyncDir, 0, Failure::IO));
    let before = disk.count(Some(Op::SyncDir));
    assert_eq!(kind(one(&store, put("old/0", b"new", When::Always))), Kind::Uncertain);
    assert_eq!(kind(one(&store, put("old/0", b"newer", When::Always))), Kind::ReadOnly);
    assert_eq!(disk.count(Some(Op::SyncDir)), before + 1, "never retried");
}

#[test]
fn a_lying_disk_is_noticed_by_these_tests() {
    for bug in [Bug::SyncIgnored, Bug::SyncDirIgnored, Bug::SyncAllIgnored] {
        let count = if bug == Bug::SyncAllIgnored { 12 } else { 2 };
        let caught = (0..40).any(|seed| {
            let disk = prepared(count);
            disk.plant(bug);
            let told = change_all(&names(&disk), count).unwrap();
            wrong(&disk.crash(seed), count, Some(&told)).is_some()
        });
        assert!(caught, "{bug:?}");
    }
}

#[test]
fn unfinished_batches_leave_no_file_behind() {
    let disk = prepared(2);
    let cancelled = Patience::default();
    cancelled.cancel.cancel();
    let results = names(&disk).apply(WRITER, &[put("a", b"x", When::Always)], &cancelled).unwrap();
    assert_eq!(results[0].as_ref().unwrap_err().kind(), Kind::Cancelled);
    assert_eq!(list(&names(&disk), ""), ["old/0", "old/1"]);
}

#[test]
fn a_large_batch_is_spread_over_threads_and_every_document_keeps_its_own_bytes() {
    let store = names(&SimDisk::new());
    let all: Vec<String> = (0..2000).map(|n| format!("d{}/{n}", n % 3)).collect();
    for round in 0..2 {
        let changes: Vec<_> = all.iter().map(|name| put(name, name.as_bytes(), When::Always)).collect();
        let results = store.apply(WRITER, &changes, &Patience::default()).unwrap();
        for (name, result) in all.iter().zip(results) {
            let found = get(&store, name).unwrap();
            assert_eq!((found.document.as_slice(), Some(found.version)), (name.as_bytes(), result.unwrap()));
            assert_eq!(found.previous.len(), round);
        }
    }
}
