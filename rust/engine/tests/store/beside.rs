//! What other processes do in the middle of a commit: a collector that begins, a writer that dies.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use packhouse_engine::cancel::Cancel;
use packhouse_engine::disk::{Disk, Failure, Fault, File, Lock, Meta, Op, Parked, SimDisk, Staged};
use packhouse_engine::store::BatchOptions;

use crate::condemned::{condemn, packs};
use crate::tools::*;

/// A disk on which a collector begins at the worst moment: right after somebody has read the marks for the n-th time.
#[derive(Debug)]
pub(crate) struct Collected {
    disk: SimDisk,
    readings: AtomicUsize,
    /// After which reading; 0 for never.
    strike: AtomicUsize,
}

impl Collected {
    pub(crate) fn new(disk: &SimDisk) -> Arc<Self> {
        Arc::new(Self { disk: disk.clone(), readings: AtomicUsize::new(0), strike: AtomicUsize::new(0) })
    }

    /// Let the collector begin after the n-th reading from now on.
    pub(crate) fn strike(&self, reading: usize) {
        self.readings.store(0, Ordering::Relaxed);
        self.strike.store(reading, Ordering::Relaxed);
    }

    /// As `docs/format.md` has it: a mark first, then a look at the index, then the pack goes unless a segment leans on it meanwhile.
    fn collect(&self, segments_before: usize) {
        let pack = packs(&self.disk)[0];
        condemn(&self.disk, pack);
        if self.disk.list("index/0").unwrap().len() == segments_before {
            self.disk.remove(&format!("packs/{pack}")).unwrap();
        }
    }
}

impl Disk for Collected {
    fn describe(&self) -> String {
        self.disk.describe()
    }
    fn create_dir(&self, path: &str) -> io::Result<bool> {
        self.disk.create_dir(path)
    }
    fn visit(&self, dir: &str, see: &mut dyn FnMut(&str, bool) -> bool) -> io::Result<()> {
        self.disk.visit(dir, see)?;
        if dir == "marks" && self.readings.fetch_add(1, Ordering::Relaxed) + 1 == self.strike.load(Ordering::Relaxed) {
            self.collect(1);
        }
        Ok(())
    }
    fn stat(&self, path: &str) -> io::Result<Option<Meta>> {
        self.disk.stat(path)
    }
    fn open(&self, path: &str) -> io::Result<Option<Arc<dyn File>>> {
        self.disk.open(path)
    }
    fn stage(&self) -> io::Result<Box<dyn Staged>> {
        self.disk.stage()
    }
    fn park(&self, bytes: &[u8]) -> io::Result<Box<dyn Parked>> {
        self.disk.park(bytes)
    }
    fn remove(&self, path: &str) -> io::Result<bool> {
        self.disk.remove(path)
    }
    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.disk.sync_dir(dir)
    }
    fn sync_all(&self) -> io::Result<()> {
        self.disk.sync_all()
    }
    fn try_lock(&self, path: &str, create: bool) -> io::Result<Option<Box<dyn Lock>>> {
        self.disk.try_lock(path, create)
    }
}

#[test]
fn a_collector_that_begins_at_any_moment_of_a_commit_takes_nothing_that_is_acknowledged() {
    for new in [false, true] {
        let mut strike = 1;
        loop {
            let disk = SimDisk::memory();
            let blob = noise(1, 250_000);
            save(&open(&disk), &[blob.clone(), noise(2, 250_000)]);
            let collected = Collected::new(&disk);
            let store = open_on(Arc::clone(&collected) as Arc<dyn Disk>).unwrap();
            let mut batch = store.begin(BatchOptions::default()).unwrap();
            let blobs = if new { vec![blob, noise(3, 9_000)] } else { vec![blob] };
            let items: Vec<&[u8]> = blobs.iter().map(Vec::as_slice).collect();
            batch.add(&items, &Cancel::new()).unwrap();
            collected.strike(strike);
            let acknowledged = store.commit(vec![batch]).remove(0).is_ok();
            let struck = collected.readings.load(Ordering::Relaxed) >= strike;
            if acknowledged {
                assert_loads(&open(&disk), &blobs);
            }
            assert!(acknowledged, "reading {strike}: the blob was there when its segment was published");
            if !struck {
                break;
            }
            strike += 1;
        }
        assert!(strike > 1, "the marks are never read during a commit");
    }
}

#[test]
fn what_is_acknowledged_outlives_a_power_cut_whoever_wrote_it_first() {
    for len in [900, 700_000] {
        let mut seen_early = false;
        for syncs in 0..4 {
            let disk = SimDisk::new();
            let blob = noise(1, len);
            save(&open(&disk), &[noise(2, 100)]);
            let first = disk.process();
            let store = open(&first);
            let process = Some(first.process_number());
            first.inject(Fault { process, ..Fault::on(Op::SyncDir, syncs, Failure::Kill) });
            let died = try_save(&store, std::slice::from_ref(&blob)).is_err();
            std::mem::forget(store);
            let second = open(&disk.process());
            // In one of these rounds the segment had a name already that no sync had reached.
            let existed = save(&second, std::slice::from_ref(&blob))[0].existed;
            seen_early |= died && existed;
            for seed in 0..32 {
                assert_loads(&open(&disk.crash(seed)), std::slice::from_ref(&blob));
            }
        }
        assert!(seen_early, "no writer died between the name of its segment and the sync of its folder");
    }
}

#[test]
fn a_batch_is_told_as_committed_only_when_no_power_cut_can_take_it() {
    let (mut refused, mut told) = (false, false);
    for (failure, syncs) in
        [Failure::IO, Failure::Kill].into_iter().flat_map(|failure| (0..4).map(move |n| (failure, n)))
    {
        let disk = SimDisk::new();
        let blob = noise(1, 900);
        save(&open(&disk), &[noise(2, 100)]);
        let first = disk.process();
        let store = open(&first);
        let mut batch = store.begin(BatchOptions::default()).unwrap();
        let id = batch.id();
        batch.add(&[&blob], &Cancel::new()).unwrap();
        let process = Some(first.process_number());
        first.inject(Fault { process, ..Fault::on(Op::SyncDir, syncs, failure) });
        let failed = store.commit(vec![batch]).remove(0).is_err();
        // Who asks: the writer itself after a failed sync, another when it was killed.
        let committed = if failure == Failure::IO {
            store.committed(id, &Cancel::new())
        } else {
            std::mem::forget(store);
            open(&disk.process()).committed(id, &Cancel::new())
        };
        refused |= failed && matches!(committed, Ok(None));
        if matches!(committed, Ok(Some(true))) {
            told |= failed;
            for seed in 0..32 {
                assert_loads(&open(&disk.crash(seed)), std::slice::from_ref(&blob));
            }
        }
    }
    assert!(refused && told, "no sync of the segment's folder was struck");
}
