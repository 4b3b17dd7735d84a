//! Blobs into memory: planned by pack, read in parallel, verified, and by every other way when one fails.

use std::sync::{Arc, Mutex};

use super::apart::Work;
use super::by_runs::{Whole, is_in_a_pack};
use super::frames::{Job, Task, fail_all, plan, span};
use super::locate::{Located, Piece, What};
use super::pipeline::{self, hash_large, lock};
use super::stats::add;
use super::{Inner, Store, internal};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::format::blob::BlobEntry;
use crate::format::entry::Entry;
use crate::format::frame::FrameKind;
use crate::id::Id;
use crate::index::by_digest::{ByDigest, DigestSet};
use crate::index::levels::Snapshot;
use crate::mutant::planted;
use crate::{Error, Kind, Result};

impl Store {
    /// Read whole blobs, verified, into `outs`, each exactly as long as its blob. One result for each; after an error the bytes
    /// of that buffer mean nothing.
    pub fn fetch(&self, located: &[&Located], outs: &mut [&mut [u8]], cancel: &Cancel) -> Vec<Result<()>> {
        let inner = &self.inner;
        let listed = if inner.need_no_index(located) { Ok(inner.levels.listed()) } else { inner.levels.snapshot() };
        let snapshot = match listed {
            Ok(snapshot) => snapshot,
            Err(error) => return located.iter().map(|_| Err(error.clone())).collect(),
        };
        let mut results: Vec<Result<()>> = located.iter().map(|_| Ok(())).collect();
        inner.first_try(&snapshot, located, outs, &mut results, cancel);
        for ((result, found), out) in results.iter_mut().zip(located).zip(outs) {
            if matches!(found.what, What::Runs(_)) && may_be_elsewhere(result) {
                *result = inner.by_index(found, out, cancel);
            }
            if may_be_elsewhere(result) {
                *result = cancel.check().and_then(|()| inner.second_try(found, out, cancel));
            }
        }
        let loaded = results.iter().zip(located).filter(|(result, _)| result.is_ok());
        let (count, bytes) =
            loaded.fold((0_u64, 0_u64), |(n, sum), (_, found)| (n.saturating_add(1), sum.saturating_add(found.size)));
        add(&inner.counters.blobs_loaded, count);
        add(&inner.counters.bytes_loaded, bytes);
        results
    }

    /// Read `start..start + out.len()` of a blob; the recipe and every chunk it touches are verified.
    ///
    /// # Errors
    /// `Invalid` when the range ends past the blob; `Corrupt`; `Cancelled`; the disk's errors.
    pub fn fetch_range(&self, located: &Located, start: u64, out: &mut [u8], cancel: &Cancel) -> Result<()> {
        let stop = start.checked_add(out.len() as u64).filter(|stop| *stop <= located.size).ok_or_else(|| {
            Error::invalid(
                "range",
                format!("read a range of {}: it ends past the blob's {} bytes", located.key, located.size),
            )
        })?;
        let inner = &self.inner;
        let mut snapshot = inner.levels.snapshot()?;
        let located = match &located.what {
            What::Chunk(_) | What::Large(_) => located.clone(),
            What::Hint(_) | What::Runs(_) => inner.confirmed(&mut snapshot, located)?,
        };
        let pieces = match &located.what {
            What::Chunk(_) | What::Hint(_) | What::Runs(_) => {
                vec![Piece { digest: located.key, start: 0, len: located.size }]
            }
            What::Large(blob) => inner.recipe(&snapshot, blob, (start, stop), &mut Vec::new(), cancel)?,
        };
        let hands = inner.crew.join(inner.threads.min(pieces.len().div_ceil(4)));
        // A long range passes through memory a few megabytes at a time.
        for group in pipeline::portions(&pieces, 128, |piece| piece.len) {
            let done = pipeline::map(group, hands.count(), 4, cancel, |piece| {
                inner.read_any(&snapshot, &piece.digest, FrameKind::Chunk)
            })?;
            for (piece, bytes) in group.iter().zip(done) {
                if bytes.len() as u64 != piece.len {
                    return Err(Error::corrupt(
                        "recipe",
                        format!("read a range of {}: a chunk has another length than its recipe says", located.key),
                    ));
                }
                copy_overlap(out, start, piece.start, &bytes)?;
            }
        }
        Ok(())
    }
}

/// Bytes of packs that one call holds at once while they come from elsewhere: beside the blobs they are for.
const COMING: u64 = 64 * 1024 * 1024;

/// How many of these tasks are requests side by side: all, unless they are large.
fn at_once(tasks: &[Task<'_>]) -> usize {
    let len = |task: &Task<'_>| span(task).map_or(0, |(start, end)| end.saturating_sub(start));
    let largest = tasks.iter().map(len).max().unwrap_or(0);
    let many = COMING.checked_div(largest).and_then(|many| usize::try_from(many).ok()).unwrap_or(1);
    tasks.len().min(many.max(1))
}

/// Whether what could not be read may be read by another way.
fn may_be_elsewhere(result: &Result<()>) -> bool {
    matches!(result, Err(error) if matches!(error.kind(), Kind::Corrupt | Kind::NotFound | Kind::Io))
}

/// Copy what `bytes`, which begin at `at` in the blob, and `out`, which begins at `start`, have in common.
fn copy_overlap(out: &mut [u8], start: u64, at: u64, bytes: &[u8]) -> Result<()> {
    let usize = |n: u64| usize::try_from(n).map_err(|_| internal());
    let from = usize(start.saturating_sub(at))?;
    let to = usize(at.saturating_sub(start))?;
    let bytes = bytes.get(from..).unwrap_or_default();
    let target = out.get_mut(to..).unwrap_or_default();
    let len = bytes.len().min(target.len());
    target.get_mut(..len).zip(bytes.get(..len)).ok_or_else(internal).map(|(to, from)| to.copy_from_slice(from))
}

impl Inner {
    /// Whether all of them are read by their locators alone, where each look at the index is a request: a pack is a file of its own if
    /// any of them stands far behind its beginning, or one was read so before.
    fn need_no_index(&self, located: &[&Located]) -> bool {
        if !self.disk.reach().far {
            return false;
        }
        let Some(places) = located.iter().map(|found| found.places()).collect::<Option<Vec<_>>>() else { return false };
        let places = places.concat();
        let files: DigestSet<Id> = places.iter().filter(|(_, end)| is_in_a_pack(*end)).map(|(pack, _)| *pack).collect();
        places.iter().all(|(pack, _)| files.contains(pack) || self.packs.is_open(pack))
    }

    /// Everything at once, each chunk by the first entry that names it.
    fn first_try(
        &self,
        snapshot: &Arc<Snapshot>,
        located: &[&Located],
        outs: &mut [&mut [u8]],
        results: &mut [Result<()>],
        cancel: &Cancel,
    ) {
        let (mut jobs, mut by_runs) = (Vec::new(), Vec::new());
        for (owner, ((found, out), result)) in located.iter().zip(outs.iter_mut()).zip(results.iter_mut()).enumerate() {
            *result = self.jobs(snapshot, owner, found, out, (&mut jobs, &mut by_runs), cancel);
        }
        for (owner, error) in self.read_runs(snapshot, by_runs, cancel) {
            if let Some(result) = results.get_mut(owner) {
                *result = Err(error);
            }
        }
        let tasks = plan(jobs, self.disk.reach());
        for (owner, entry, error) in self.run_tasks(snapshot, tasks, cancel) {
            self.packs.forget(&entry.pack);
            if let Some(result) = results.get_mut(owner) {
                *result = Err(error);
            }
        }
        // Nothing of a large blob is trusted before its bytes are those of its key.
        let whole: Vec<(&Located, &[u8], usize)> = located
            .iter()
            .zip(outs.iter())
            .enumerate()
            .filter(|(at, (found, _))| {
                matches!(found.what, What::Large(_)) && results.get(*at).is_some_and(Result::is_ok)
            })
            .map(|(at, (found, out))| (*found, &**out, at))
            .collect();
        if whole.is_empty() {
            return;
        }
        let hands = self.crew.join(self.threads);
        let threads = if whole.len() >= hands.count() { 1 } else { hands.count() };
        let checked = pipeline::map(&whole, hands.count(), 1, cancel, |(found, out, _)| {
            Ok(hash_large(out, threads, cancel)? == found.key || planted("read-check-off"))
        });
        for (at, (found, _, owner)) in whole.iter().enumerate() {
            let verdict = match &checked {
                Ok(checked) if checked.get(at) == Some(&true) => Ok(()),
                Ok(_) => Err(not_this_key(found)),
                Err(error) => Err(error.clone()),
            };
            if let Some(result) = results.get_mut(*owner) {
                *result = verdict;
            }
        }
    }

    /// The frames that make up one blob, each with its place in `out`.
    fn jobs<'a>(
        &self,
        snapshot: &Arc<Snapshot>,
        owner: usize,
        found: &'a Located,
        out: &'a mut [u8],
        (jobs, by_runs): (&mut Vec<Job<'a>>, &mut Vec<Whole<'a>>),
        cancel: &Cancel,
    ) -> Result<()> {
        if out.len() as u64 != found.size {
            return Err(Error::invalid(
                "buffer",
                format!("load {}: the buffer has {} bytes, the blob {}", found.key, out.len(), found.size),
            ));
        }
        match &found.what {
            What::Chunk(entry) | What::Hint(entry) => jobs.push(Job { entry: *entry, out, owner, check: true }),
            What::Runs(by) => by_runs.push(Whole { owner, key: found.key, by, out }),
            What::Large(blob) => {
                let entries = self.entries(snapshot, blob, cancel)?;
                let mut rest = out;
                let mut mine = Vec::with_capacity(entries.len());
                for entry in entries {
                    let len = usize::try_from(entry.raw).map_err(|_| internal())?;
                    let (out, after) = rest.split_at_mut_checked(len).ok_or_else(internal)?;
                    // One hash over the whole blob says as much as one for each chunk and costs half; see decision 003.
                    mine.push(Job { entry, out, owner, check: false });
                    rest = after;
                }
                jobs.append(&mut mine);
            }
        }
        Ok(())
    }

    /// An entry for each chunk of a large blob, in one pack as far as possible.
    fn entries(&self, snapshot: &Arc<Snapshot>, blob: &BlobEntry, cancel: &Cancel) -> Result<Vec<Entry>> {
        let pieces = self.recipe(snapshot, blob, (0, blob.size), &mut Vec::new(), cancel)?;
        self.entries_of(snapshot, &blob.key, &pieces, cancel)
    }

    pub(crate) fn entries_of(
        &self,
        snapshot: &Arc<Snapshot>,
        key: &Digest,
        pieces: &[Piece],
        cancel: &Cancel,
    ) -> Result<Vec<Entry>> {
        let far = self.disk.reach().far;
        let mut entries: Vec<Entry> = Vec::with_capacity(pieces.len());
        let mut seen: ByDigest<_, Entry> = ByDigest::default();
        for piece in pieces {
            cancel.check()?;
            if let Some(entry) = seen.get(&piece.digest) {
                entries.push(*entry);
                continue;
            }
            let last = entries.last().map(|entry| entry.pack);
            let mut best: Option<Entry> = None;
            self.places(snapshot, &piece.digest, FrameKind::Chunk, pieces.len() > 1, &mut |entry, _| {
                if u64::from(entry.raw) == piece.len && !self.notes.is_damaged(entry) {
                    best = Some(*entry);
                    return Ok(far || last.is_none() || last == Some(entry.pack));
                }
                Ok(false)
            })?;
            let entry = best.ok_or_else(|| {
                Error::corrupt("missing-chunk", format!("load {key}: no index entry names its chunk {}", piece.digest))
            })?;
            seen.insert(piece.digest, entry);
            entries.push(entry);
        }
        Ok(entries)
    }

    pub(crate) fn run_tasks(
        &self,
        snapshot: &Snapshot,
        tasks: Vec<Task<'_>>,
        cancel: &Cancel,
    ) -> Vec<(usize, Entry, Error)> {
        let share = if self.disk.reach().far { at_once(&tasks) } else { tasks.len().div_ceil(2) };
        let works = self.sort_out(snapshot, tasks);
        let hands = self.crew.join(self.threads.min(share).min(works.len()));
        let source = Mutex::new(works.into_iter());
        let failed = Mutex::new(Vec::new());
        let work = || {
            loop {
                let Some(work) = lock(&source).next() else { return };
                let mut bad = match work {
                    Work::Together(tasks) => self.read_together(snapshot, tasks, cancel),
                    Work::One(task) => match cancel.check() {
                        Ok(()) => self.read_task(snapshot, task),
                        Err(error) => fail_all(&task, &error),
                    },
                };
                if !bad.is_empty() {
                    lock(&failed).append(&mut bad);
                }
            }
        };
        std::thread::scope(|scope| {
            drop(pipeline::helpers(scope, hands.count().saturating_sub(1), work));
            work();
        });
        failed.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A locator failed or must not be trusted: what the index says.
    fn confirmed(&self, snapshot: &mut Arc<Snapshot>, found: &Located) -> Result<Located> {
        for attempt in 0..2 {
            if attempt > 0 {
                *snapshot = self.levels.refresh()?;
            }
            let (confirmed, damage) = self.find(snapshot, &found.key)?;
            if let Some(confirmed) = confirmed {
                return Ok(confirmed);
            }
            if let (Some(damage), 1) = (damage, attempt) {
                self.note_index_damage(snapshot);
                return Err(damage.of_index(&format!("look up {}", found.key)));
            }
        }
        Err(Error::new(Kind::NotFound, "blob-not-found", format!("load {}: no such blob", found.key)))
    }

    /// One blob as if it had been asked for without its locator.
    fn by_index(&self, found: &Located, out: &mut [u8], cancel: &Cancel) -> Result<()> {
        let mut snapshot = self.levels.snapshot()?;
        let found = self.confirmed_for(&mut snapshot, found, out)?;
        let mut result = [Ok(())];
        self.first_try(&snapshot, &[&found], &mut [out], &mut result, cancel);
        let [result] = result;
        result
    }

    /// What the index says of a blob for which there is room.
    fn confirmed_for(&self, snapshot: &mut Arc<Snapshot>, found: &Located, out: &[u8]) -> Result<Located> {
        let found = self.confirmed(snapshot, found)?;
        if out.len() as u64 == found.size {
            return Ok(found);
        }
        Err(Error::corrupt("locator", format!("load {}: its locator names another size than the index", found.key)))
    }

    /// One blob chunk by chunk, each by whatever entry gives the right bytes.
    fn second_try(&self, found: &Located, out: &mut [u8], cancel: &Cancel) -> Result<()> {
        let mut snapshot = self.levels.refresh()?;
        let found = self.confirmed_for(&mut snapshot, found, out)?;
        match &found.what {
            What::Chunk(_) | What::Hint(_) | What::Runs(_) => {
                let bytes = self.read_any(&snapshot, &found.key, FrameKind::Chunk)?;
                copy_overlap(out, 0, 0, &bytes)
            }
            What::Large(_) => {
                let mut last = not_this_key(&found);
                for blob in snapshot.blobs(&found.key).hits {
                    match self.by_recipe(&snapshot, &blob, out, cancel) {
                        Ok(()) => return Ok(()),
                        Err(error) => last = error,
                    }
                }
                Err(last)
            }
        }
    }

    fn by_recipe(&self, snapshot: &Arc<Snapshot>, blob: &BlobEntry, out: &mut [u8], cancel: &Cancel) -> Result<()> {
        if blob.size != out.len() as u64 {
            return Err(Error::corrupt("recipe", format!("load {}: two entries name two sizes", blob.key)));
        }
        for piece in self.recipe(snapshot, blob, (0, blob.size), &mut Vec::new(), cancel)? {
            cancel.check()?;
            let bytes = self.read_any(snapshot, &piece.digest, FrameKind::Chunk)?;
            if bytes.len() as u64 != piece.len {
                return Err(Error::corrupt(
                    "recipe",
                    format!("load {}: a chunk has another length than its recipe says", blob.key),
                ));
            }
            copy_overlap(out, 0, piece.start, &bytes)?;
        }
        if hash_large(out, self.threads, cancel)? == blob.key {
            return Ok(());
        }
        Err(Error::corrupt("blob", format!("load {}: the bytes of its recipe are not those of the key", blob.key)))
    }
}

fn not_this_key(found: &Located) -> Error {
    Error::corrupt("blob", format!("load {}: the bytes of its recipe are not those of the key", found.key))
}
