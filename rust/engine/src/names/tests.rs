use std::sync::Barrier;
use std::thread;
use std::time::Duration;

use super::*;
use crate::digest;
use crate::disk::{Bug, Failure, Fault, Op, SimDisk};

const WRITER: WriterId = WriterId([7; 8]);

fn names(disk: &SimDisk) -> Names {
    Names::new(Arc::new(disk.clone()))
}

fn put<'a>(name: &'a str, document: &'a [u8], when: When) -> Change<'a> {
    Change { name, action: Action::Put { document, refs: &[], when } }
}

fn delete(name: &str, version: Option<Id>) -> Change<'_> {
    Change { name, action: Action::Delete { version } }
}

fn one(names: &Names, change: Change<'_>) -> Outcome {
    names.apply(WRITER, &[change], &Patience::default()).and_then(|mut all| all.remove(0))
}

fn get(names: &Names, name: &str) -> Result<Document> {
    names.get(&[name], &Cancel::new()).and_then(|mut all| all.remove(0))
}

fn text(names: &Names, name: &str) -> Option<Vec<u8>> {
    match get(names, name) {
        Ok(found) => Some(found.document),
        Err(e) if e.kind() == Kind::NameNotFound => None,
        Err(e) => panic!("{e:?}"),
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T>) -> Kind {
    result.unwrap_err().kind()
}

fn list(names: &Names, prefix: &str) -> Vec<String> {
    names.list(prefix, None, usize::MAX, &Cancel::new()).unwrap()
}

#[test]
fn a_document_comes_back_with_version_refs_and_history() {
    let store = names(&SimDisk::new());
    let refs = [digest::hash(b"a"), digest::hash(b"b")];
    let action = Action::Put { document: b"1", refs: &refs, when: When::Always };
    let first = one(&store, Change { name: "runs/a", action }).unwrap().unwrap();
    let found = get(&store, "runs/a").unwrap();
    assert_eq!((found.document, found.version, found.refs), (b"1".to_vec(), first, refs.to_vec()));
    let second = one(&store, put("runs/a", b"2", When::Always)).unwrap().unwrap();
    let found = get(&store, "runs/a").unwrap();
    assert_eq!((found.document, found.previous), (b"2".to_vec(), vec![first]));
    for _ in 0..20 {
        one(&store, put("runs/a", b"3", When::Always)).unwrap();
    }
    assert_eq!(get(&store, "runs/a").unwrap().previous.len(), 16);
    assert_ne!(first, second);
    assert_eq!(first.writer(), WRITER);
}

#[test]
fn conditions_are_kept() {
    let store = names(&SimDisk::new());
    assert_eq!(kind(get(&store, "a")), Kind::NameNotFound);
    assert_eq!(kind(one(&store, delete("a", None))), Kind::NameNotFound);
    assert_eq!(kind(one(&store, put("a", b"x", When::Version(Id([1; 16]))))), Kind::NameNotFound);
    let first = one(&store, put("a", b"1", When::Absent)).unwrap().unwrap();
    assert_eq!(kind(one(&store, put("a", b"2", When::Absent))), Kind::Conflict);
    let second = one(&store, put("a", b"2", When::Version(first))).unwrap().unwrap();
    assert_eq!(kind(one(&store, put("a", b"3", When::Version(first)))), Kind::Conflict);
    assert_eq!(kind(one(&store, delete("a", Some(first)))), Kind::Conflict);
    assert_eq!(text(&store, "a"), Some(b"2".to_vec()));
    assert_eq!(one(&store, delete("a", Some(second))).unwrap(), None);
    assert_eq!(text(&store, "a"), None);
}

#[test]
fn in_one_batch_each_change_has_its_own_result_and_those_of_one_name_their_order() {
    let store = names(&SimDisk::new());
    let mut all = vec![
        put("a", b"1", When::Absent),
        put("b", b"1", When::Version(Id([1; 16]))),
        put("a", b"2", When::Absent),
        delete("a", None),
        put("a", b"3", When::Absent),
    ];
    let many: Vec<String> = (0..40).map(|n| format!("many/{n}")).collect();
    all.extend(many.iter().map(|name| put(name, name.as_bytes(), When::Absent)));
    let results = store.apply(WRITER, &all, &Patience::default()).unwrap();
    assert!(results[0].is_ok() && results[3].is_ok() && results[4].is_ok());
    assert_eq!(results[1].as_ref().unwrap_err().kind(), Kind::NameNotFound);
    assert_eq!(results[2].as_ref().unwrap_err().kind(), Kind::Conflict);
    assert_eq!(text(&store, "a"), Some(b"3".to_vec()));
    assert!(results[5..].iter().all(Result::is_ok));
    assert!(many.iter().all(|name| text(&store, name).unwrap() == name.as_bytes()));
}

#[test]
fn a_document_stands_beside_documents_below_it() {
    let store = names(&SimDisk::new());
    let all = ["a", "a/b", "a/b/c", "a//", "a/", "/", "..", "a-b", "a.b", "A", "a0", "a b"];
    for name in all {
        one(&store, put(name, name.as_bytes(), When::Absent)).unwrap();
    }
    assert!(all.iter().all(|name| text(&store, name).unwrap() == name.as_bytes()));
    let mut sorted = all.to_vec();
    sorted.sort_unstable();
    assert_eq!(list(&store, ""), sorted);
}

#[test]
fn every_prefix_lists_what_begins_with_it_in_order_page_by_page() {
    let store = names(&SimDisk::new());
    let long = "l".repeat(250);
    let mut all: Vec<String> =
        ["runs/1", "runs/10", "runs/2/x", "runs-a", "run", "runs//x", "größe/é", "größe/ü"].map(String::from).into();
    all.extend([
        format!("{long}a"),
        format!("{long}b/x"),
        format!("{long}/y"),
        format!("{long}a/{long}"),
        long.clone(),
    ]);
    all.extend((0..30).map(|n| format!("many/{n}")));
    let changes: Vec<_> = all.iter().map(|name| put(name, b"x", When::Absent)).collect();
    assert!(store.apply(WRITER, &changes, &Patience::default()).unwrap().iter().all(Result::is_ok));
    all.sort_unstable();
    for prefix in [
        "",
        "run",
        "runs",
        "runs/",
        "runs/1",
        "runs//",
        "grö",
        "größe/",
        "lll",
        "none",
        "many/1",
        &format!("{long}a"),
        &long,
        &format!("{long}/"),
    ] {
        let wanted: Vec<_> = all.iter().filter(|name| name.starts_with(prefix)).cloned().collect();
        assert_eq!(list(&store, prefix), wanted, "{prefix:?}");
        let mut paged = Vec::new();
        let mut listing = store.scan(prefix, &Cancel::new()).unwrap();
        assert_eq!(listing.len(), wanted.len());
        loop {
            let page = listing.page(3);
            paged.extend(page.iter().cloned());
            if page.len() < 3 {
                break;
            }
        }
        assert_eq!(paged, wanted, "{prefix:?}");
        for after in ["", "many", "many/12", "many/13x", "runs/1", "z", &long] {
            let wanted: Vec<_> = wanted.iter().filter(|name| name.as_str() > after).take(4).cloned().collect();
            let after = (!after.is_empty()).then_some(after);
            assert_eq!(store.list(prefix, after, 4, &Cancel::new()).unwrap(), wanted, "{prefix:?} {after:?}");
        }
    }
}

#[test]
fn what_others_put_into_the_folder_is_passed_over() {
    let disk = SimDisk::new();
    let store = names(&disk);
    one(&store, put("a", b"x", When::Always)).unwrap();
    for name in ["documents/.DS_Store", "documents/Upper+", "documents/a~"] {
        disk.stage().unwrap().publish(name).unwrap();
    }
    assert_eq!(list(&store, ""), ["a"]);
}

#[test]
fn names_that_are_none_change_nothing() {
    let disk = SimDisk::new();
    let store = names(&disk);
    let long = "x".repeat(701);
    for bad in ["", &long] {
        let all = [put("good", b"x", When::Always), put(bad, b"x", When::Always)];
        assert_eq!(kind(store.apply(WRITER, &all, &Patience::default())), Kind::Invalid);
        assert_eq!(kind(get(&store, bad)), Kind::Invalid);
    }
    assert_eq!(disk.list("").unwrap(), []);
}

#[test]
fn a_damaged_document_is_named_never_returned_and_healed_by_a_put() {
    let disk = SimDisk::new();
    let store = names(&disk);
    let long = "x".repeat(300);
    for name in ["runs/a", &long] {
        one(&store, put(name, b"hello", When::Always)).unwrap();
        let path = place(name).1;
        let bits = disk.stat(&path).unwrap().unwrap().len * 8;
        for bit in (0..bits).step_by(7) {
            let flip = |bytes: &mut Vec<u8>| bytes[usize::try_from(bit / 8).unwrap()] ^= 1 << (bit % 8);
            disk.damage(&path, flip).unwrap();
            let e = get(&store, name).unwrap_err();
            assert!(e.kind() == Kind::Corrupt && e.to_string().contains(&format!("{name:?}")), "{e:?}");
            disk.damage(&path, flip).unwrap();
        }
        let version = get(&store, name).unwrap().version;
        disk.damage(&path, |bytes| bytes.truncate(60)).unwrap();
        assert_eq!(kind(one(&store, put(name, b"x", When::Version(version)))), Kind::Corrupt);
        assert_eq!(kind(one(&store, put(name, b"x", When::Absent))), Kind::Conflict);
        one(&store, put(name, b"healed", When::Always)).unwrap();
        assert_eq!(text(&store, name), Some(b"healed".to_vec()));
        disk.damage(&path, Vec::clear).unwrap();
        one(&store, delete(name, None)).unwrap();
        assert_eq!(text(&store, name), None);
    }
}

#[test]
fn a_document_moved_to_another_name_is_not_taken_for_it() {
    let disk = SimDisk::new();
    let store = names(&disk);
    one(&store, put("a", b"of a", When::Always)).unwrap();
    one(&store, put("b", b"of b", When::Always)).unwrap();
    let mut bytes = Vec::new();
    disk.damage(&place("a").1, |of_a| bytes.clone_from(of_a)).unwrap();
    disk.damage(&place("b").1, |of_b| *of_b = bytes).unwrap();
    assert_eq!(kind(get(&store, "b")), Kind::Corrupt);
}

#[test]
fn no_update_is_lost_between_processes() {
    let disk = SimDisk::new();
    one(&names(&disk), put("counter", b"0", When::Absent)).unwrap();
    let add = |disk: SimDisk| {
        let store = names(&disk);
        let mut done = 0;
        while done < 50 {
            let old = get(&store, "counter").unwrap();
            let next = (std::str::from_utf8(&old.document).unwrap().parse::<u32>().unwrap() + 1).to_string();
            match one(&store, put("counter", next.as_bytes(), When::Version(old.version))) {
                Ok(_) => done += 1,
                Err(e) => assert_eq!(e.kind(), Kind::Conflict),
            }
        }
    };
    thread::scope(|scope| (0..4).for_each(|_| drop(scope.spawn(|| add(disk.process())))));
    assert_eq!(text(&names(&disk), "counter"), Some(b"200".to_vec()));
}

#[test]
fn without_locks_updates_are_lost() {
    // The test above must be able to fail: of two writers that both got the lock, both may win.
    let disk = SimDisk::new();
    disk.plant(Bug::LocksIgnored);
    let lost = (0..5000).any(|round| {
        let name = format!("swap/{}", round % 10);
        let version = one(&names(&disk), put(&name, b"0", When::Always)).unwrap().unwrap();
        let start = Barrier::new(2);
        let swap = |disk: SimDisk| {
            let store = names(&disk);
            start.wait();
            one(&store, put(&name, b"1", When::Version(version))).is_ok()
        };
        let (a, b) = (disk.process(), disk.process());
        thread::scope(|scope| {
            let (a, b) = (scope.spawn(|| swap(a)), scope.spawn(|| swap(b)));
            a.join().unwrap() & b.join().unwrap()
        })
    });
    assert!(lost);
}

#[test]
fn puts_of_several_processes_all_take_place_and_keep_their_history() {
    let disk = SimDisk::new();
    let write = |disk: SimDisk| {
        let store = names(&disk);
        let all: Vec<String> = (0..30).map(|n| format!("shared/{n}")).collect();
        let changes: Vec<_> = all.iter().map(|name| put(name, b"x", When::Always)).collect();
        let results = store.apply(WriterId::random().unwrap(), &changes, &Patience::default()).unwrap();
        results.into_iter().map(|r| r.unwrap().unwrap()).collect::<Vec<Id>>()
    };
    let versions: Vec<Vec<Id>> = thread::scope(|scope| {
        let all: Vec<_> = (0..4).map(|_| scope.spawn(|| write(disk.process()))).collect();
        all.into_iter().map(|t| t.join().unwrap()).collect()
    });
    let store = names(&disk);
    for n in 0..30 {
        let found = get(&store, &format!("shared/{n}")).unwrap();
        let mut seen = found.previous.clone();
        seen.push(found.version);
        assert!(versions.iter().all(|of| seen.contains(&of[n])), "a put left no trace");
        assert_eq!(seen.len(), 4);
    }
}

#[test]
fn waiting_for_a_lock_ends_with_the_deadline_or_the_cancellation() {
    let disk = SimDisk::new();
    let store = names(&disk);
    one(&store, put("a", b"old", When::Always)).unwrap();
    let other = disk.process();
    let held = locks::take(&other, ["a"].into_iter(), &Patience::default()).unwrap();
    let soon = Patience { deadline: Some(Instant::now() + Duration::from_millis(30)), ..Patience::default() };
    let e = store.apply(WRITER, &[put("a", b"new", When::Always)], &soon).unwrap().remove(0).unwrap_err();
    assert_eq!((e.kind(), e.cause()), (Kind::Io, "lock-timeout"));
    let patience = Patience::default();
    let cancelled = thread::scope(|scope| {
        let waiting = scope.spawn(|| store.apply(WRITER, &[put("a", b"new", When::Always)], &patience));
        thread::sleep(Duration::from_millis(10));
        patience.cancel.cancel();
        waiting.join().unwrap().unwrap().remove(0)
    });
    assert_eq!(kind(cancelled), Kind::Cancelled);
    assert_eq!(text(&store, "a"), Some(b"old".to_vec()));
    // The holder dies, and with it the lock.
    other.kill();
    one(&store, put("a", b"new", When::Always)).unwrap();
    drop(held);
}

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
