mod crash;

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
fn a_copy_that_lacks_all_names_is_not_taken_for_a_store_without_any() {
    let disk = SimDisk::new();
    let error = names(&disk).list("", None, usize::MAX, &Cancel::new()).unwrap_err();
    assert_eq!(error.cause(), "missing-file");
    disk.create_dir(DOCUMENTS).unwrap();
    assert_eq!(list(&names(&disk), ""), [""; 0]);
    assert_eq!(list(&names(&disk), "no/such/folder"), [""; 0]);
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
fn waiting_for_a_lock_ends_with_patience_or_the_cancellation() {
    let disk = SimDisk::new();
    let store = names(&disk);
    one(&store, put("a", b"old", When::Always)).unwrap();
    let other = disk.process();
    let held = locks::take(&other, ["a"].into_iter(), &Patience::default()).unwrap();
    let soon = Patience { wait: Duration::from_millis(30), ..Patience::default() };
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
