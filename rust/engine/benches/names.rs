//! Named documents on a real folder: batches of puts and gets, pages of a listing, one scan of a large flat prefix.
//!
//! `cargo bench --bench names [-- FOLDER [MILLIONTHS]]`: the folder to work in (the system's temporary one by default), and the size
//! of the flat prefix (1,000,000 names by default).
#![allow(clippy::unwrap_used, clippy::arithmetic_side_effects, missing_docs, reason = "a benchmark ends by panicking")]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use packhouse_engine::disk::RealDisk;
use packhouse_engine::names::{Action, Change, Names, Patience, When};
use packhouse_engine::{Cancel, WriterId};

const BATCH: usize = 10_000;

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let base = arguments.next().map_or_else(std::env::temp_dir, PathBuf::from);
    let flat: usize = arguments.next().map_or(1_000_000, |n| n.parse().unwrap());
    let writer = WriterId::random().unwrap();
    let folder = base.join(format!("packhouse-names-{writer}"));
    let store = Names::new(Arc::new(RealDisk::create(&folder).unwrap()));
    let document = [b'x'; 300];
    let cancel = Cancel::new();

    for round in 0..5 {
        // Every second round replaces the documents of the round before.
        let names: Vec<String> = (0..BATCH).map(|n| format!("runs/{}/{n:08}", round / 2)).collect();
        let action = Action::Put { document: &document, refs: &[], when: When::Always };
        let changes: Vec<_> = names.iter().map(|name| Change { name, action }).collect();
        let start = Instant::now();
        let results = store.apply(writer, &changes, &Patience::default()).unwrap();
        rate("puts in one batch", BATCH, start);
        assert!(results.iter().all(Result::is_ok));
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let start = Instant::now();
        assert!(store.get(&asked, &cancel).unwrap().iter().all(Result::is_ok));
        rate("gets in one batch", BATCH, start);
        let start = Instant::now();
        let page = store.list(&format!("runs/{}/", round / 2), Some(&names[BATCH / 2]), 1000, &cancel).unwrap();
        println!("a page of {} under {BATCH} names: {:?}", page.len(), start.elapsed());
    }
    let action = Action::Put { document: &document, refs: &[], when: When::Always };
    let start = Instant::now();
    for _ in 0..20 {
        store.apply(writer, &[Change { name: "single", action }], &Patience::default()).unwrap();
    }
    rate("single puts", 20, start);

    let path = folder.join("documents/flat");
    std::fs::create_dir(&path).unwrap();
    for n in 0..flat {
        std::fs::File::create(path.join(format!("item-{n:08}+"))).unwrap();
    }
    for _ in 0..3 {
        let start = Instant::now();
        let mut listing = store.scan("flat/", &cancel).unwrap();
        println!("one scan of {} names: {:?}", listing.len(), start.elapsed());
        let start = Instant::now();
        let page = listing.page(1000);
        println!("a page of {} of it: {:?}", page.len(), start.elapsed());
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

fn rate(what: &str, count: usize, start: Instant) {
    let seconds = start.elapsed().as_secs_f64();
    println!("{what}: {:.0}/s ({:.0} ms)", count as f64 / seconds, seconds * 1000.0);
}
