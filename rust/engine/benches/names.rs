//! Named documents on a real folder: batches of puts and gets, pages of a listing, one scan of a large flat prefix.
//!
//! `cargo bench -p packhouse-engine --bench names [-- NAMES]`: the size of the flat prefix, 1,000,000 by default. Works in
//! `$PACKHOUSE_BENCH_DIR` or the system's temporary folder. Prints one line of JSON at the end: seconds of a scan, milliseconds of a page.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::arithmetic_side_effects,
    missing_docs,
    reason = "a benchmark ends by panicking"
)]

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use packhouse_engine::disk::RealDisk;
use packhouse_engine::names::{Action, Change, Names, Patience, When};
use packhouse_engine::{Cancel, WriterId};

const BATCH: usize = 10_000;

fn main() {
    let flat: usize = std::env::args().filter_map(|arg| arg.parse().ok()).next().unwrap_or(1_000_000);
    let base = std::env::var_os("PACKHOUSE_BENCH_DIR").map_or_else(std::env::temp_dir, PathBuf::from);
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
        let clock = Clock::start();
        let results = store.apply(writer, &changes, &Patience::default()).unwrap();
        clock.rate("puts in one batch", BATCH);
        assert!(results.iter().all(Result::is_ok));
        let asked: Vec<&str> = names.iter().map(String::as_str).collect();
        let clock = Clock::start();
        assert!(store.get(&asked, &cancel).unwrap().iter().all(Result::is_ok));
        clock.rate("gets in one batch", BATCH);
        let clock = Clock::start();
        let page = store.list(&format!("runs/{}/", round / 2), Some(&names[BATCH / 2]), 1000, &cancel).unwrap();
        clock.once(&format!("a page of {} under {BATCH} names", page.len()));
    }
    let action = Action::Put { document: &document, refs: &[], when: When::Always };
    let clock = Clock::start();
    for _ in 0..20 {
        store.apply(writer, &[Change { name: "single", action }], &Patience::default()).unwrap();
    }
    clock.rate("single puts", 20);

    let path = folder.join("documents/flat");
    std::fs::create_dir(&path).unwrap();
    for n in 0..flat {
        std::fs::File::create(path.join(format!("item-{n:08}+"))).unwrap();
    }
    let (mut scans, mut longest) = (Vec::new(), 0.0_f64);
    for _ in 0..3 {
        let clock = Clock::start();
        let mut listing = store.scan("flat/", &cancel).unwrap();
        assert_eq!(listing.len(), flat);
        scans.push(clock.once(&format!("one scan of {flat} names")));
        loop {
            let clock = Clock::start();
            if listing.page(1000).is_empty() {
                break;
            }
            longest = longest.max(ms(clock.0.elapsed()));
        }
    }
    scans.sort_unstable_by(f64::total_cmp);
    std::fs::remove_dir_all(&folder).unwrap();
    println!("{{\"names\": {flat}, \"scan_seconds\": {:.4}, \"page_ms\": {longest:.3}}}", scans[scans.len() / 2] / 1e3);
}

/// Wall time, and the processor's, which neighbours on the machine do not lengthen.
struct Clock(Instant, Duration);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), cpu())
    }

    fn rate(&self, what: &str, count: usize) {
        let (wall, cpu) = (self.0.elapsed(), cpu() - self.1);
        println!("{what}: {:.0}/s ({:.0} ms, CPU {:.0} ms)", count as f64 / wall.as_secs_f64(), ms(wall), ms(cpu));
    }

    fn once(&self, what: &str) -> f64 {
        let (wall, cpu) = (ms(self.0.elapsed()), ms(cpu() - self.1));
        println!("{what}: {wall:.1} ms (CPU {cpu:.1} ms)");
        wall
    }
}

fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap(), time.tv_nsec.try_into().unwrap())
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}
