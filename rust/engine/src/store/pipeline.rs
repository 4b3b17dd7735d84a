//! Work on several cores that comes out in the order it went in.
//!
//! A unit passes four stations: `next` hands it out (one caller at a time), `work` runs beside others, `place` takes the
//! results one at a time in the order of `next`. What `place` returns is finished by `after`, again beside others:
//! a write, as a rule, to a place that `place` decided.
//!
//! Nobody waits for a turn: a result that is early is left for whoever has the one before it.

use std::collections::BTreeMap;
use std::panic::resume_unwind;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, Scope, ScopedJoinHandle};

use crate::cancel::{Cancel, serving};
use crate::digest::{Digest, StreamHasher};
use crate::{Error, Kind, Result};

/// The four stations.
pub(crate) trait Stations: Sync {
    type Unit: Send;
    type Done: Send;
    type Rest: Send;

    /// Hand out the next unit; `None` when there is none left.
    fn next(&self) -> Result<Option<Self::Unit>>;
    /// What may run on any core.
    fn work(&self, unit: Self::Unit) -> Result<Self::Done>;
    /// What must happen in order.
    fn place(&self, done: Self::Done) -> Result<Self::Rest>;
    /// What may happen whenever.
    fn after(&self, rest: Self::Rest) -> Result<()>;
}

/// Bytes that pass through memory at once.
const PORTION: u64 = 8 * 1024 * 1024;

/// Items one after the other in portions: at most so many, of no more than some megabytes together, or one.
pub(crate) fn portions<'a, T>(
    items: &'a [T],
    most: usize,
    len: impl Fn(&T) -> u64 + 'a,
) -> impl Iterator<Item = &'a [T]> {
    let mut rest = items;
    std::iter::from_fn(move || {
        let mut bytes = 0_u64;
        let fits = rest.iter().take(most).take_while(|item| {
            bytes = bytes.saturating_add(len(item));
            bytes <= PORTION
        });
        let (portion, after) = rest.split_at_checked(fits.count().max(1))?;
        rest = after;
        Some(portion)
    })
}

/// As many threads as the machine runs at once.
pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// So many results may wait for one before them.
const EARLY: u64 = 8;

struct Line<D> {
    /// Tickets that were placed.
    placed: u64,
    /// Results that wait for one before them, or for whoever is placing.
    ready: BTreeMap<u64, D>,
    /// Whether somebody is placing.
    placing: bool,
    error: Option<Error>,
}

struct Shared<'a, S: Stations> {
    stations: &'a S,
    /// The next ticket; held while `next` runs, apart from `line`, so that placing goes on meanwhile.
    source: Mutex<u64>,
    line: Mutex<Line<S::Done>>,
    turn: Condvar,
    cancel: &'a Cancel,
}

/// Run until `next` has nothing left, on `threads` threads, the caller's included. The threads have ended when it returns.
pub(crate) fn run<S: Stations>(stations: &S, threads: usize, cancel: &Cancel) -> Result<()> {
    let shared = Shared {
        stations,
        source: Mutex::new(0),
        line: Mutex::new(Line { placed: 0, ready: BTreeMap::new(), placing: false, error: None }),
        turn: Condvar::new(),
        cancel,
    };
    let work = || shared.worker();
    std::thread::scope(|scope| {
        drop(helpers(scope, threads.saturating_sub(1), work));
        work();
    });
    match lock(&shared.line).error.take() {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

impl<S: Stations> Shared<'_, S> {
    fn worker(&self) {
        // A worker that panics must not leave the others waiting for its turn.
        let bell = Bell(self);
        while let Some(result) = self.step() {
            if let Err(error) = result {
                self.fail(error);
                break;
            }
        }
        std::mem::forget(bell);
    }

    fn step(&self) -> Option<Result<()>> {
        let (ticket, unit) = {
            let mut given = lock(&self.source);
            if lock(&self.line).error.is_some() {
                return None;
            }
            match self.cancel.check().and_then(|()| self.stations.next()) {
                Ok(Some(unit)) => {
                    let ticket = *given;
                    *given = ticket.wrapping_add(1);
                    (ticket, unit)
                }
                Ok(None) => return None,
                Err(error) => return Some(Err(error)),
            }
        };
        let done = match self.stations.work(unit) {
            Ok(done) => done,
            Err(error) => return Some(Err(error)),
        };
        let mut line = lock(&self.line);
        while ticket.saturating_sub(line.placed) > EARLY && line.error.is_none() {
            line = self.turn.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
        if line.error.is_some() {
            return None;
        }
        line.ready.insert(ticket, done);
        if line.placing {
            return Some(Ok(()));
        }
        line.placing = true;
        let mut rests = Vec::new();
        loop {
            let next = line.placed;
            let Some(done) = line.ready.remove(&next) else { break };
            drop(line);
            match self.stations.place(done) {
                Ok(rest) => rests.push(rest),
                // Nobody places after an error.
                Err(error) => return Some(Err(error)),
            }
            line = lock(&self.line);
            line.placed = next.wrapping_add(1);
            self.turn.notify_all();
        }
        line.placing = false;
        drop(line);
        Some(rests.into_iter().try_for_each(|rest| self.stations.after(rest)))
    }

    fn fail(&self, error: Error) {
        let mut line = lock(&self.line);
        if line.error.is_none() {
            line.error = Some(error);
        }
        self.turn.notify_all();
    }
}

struct Bell<'a, S: Stations>(&'a Shared<'a, S>);

impl<S: Stations> Drop for Bell<'_, S> {
    fn drop(&mut self) {
        self.0.fail(panicked());
    }
}

/// Apply `work` to every item on `threads` threads; results in order.
pub(crate) fn map<T: Sync, R: Send>(
    items: &[T],
    threads: usize,
    grain: usize,
    cancel: &Cancel,
    work: impl Fn(&T) -> Result<R> + Sync,
) -> Result<Vec<R>> {
    let grain = grain.max(1);
    let wanted = items.len().div_ceil(grain).min(threads);
    if wanted <= 1 {
        return items.iter().map(|item| cancel.check().and_then(|()| work(item))).collect();
    }
    let groups = Mutex::new(items.chunks(grain).enumerate());
    let results = Mutex::new(Vec::with_capacity(items.len().div_ceil(grain)));
    let run = || -> Result<()> {
        loop {
            let Some((index, group)) = lock(&groups).next() else { return Ok(()) };
            cancel.check()?;
            let done = group.iter().map(&work).collect::<Result<Vec<R>>>()?;
            lock(&results).push((index, done));
        }
    };
    std::thread::scope(|scope| {
        let others = helpers(scope, wanted.saturating_sub(1), run);
        let mine = run();
        let joined = others.into_iter().try_for_each(|other| other.join().unwrap_or_else(|_| Err(panicked())));
        mine.and(joined)
    })?;
    let mut groups = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    groups.sort_unstable_by_key(|(index, _)| *index);
    Ok(groups.into_iter().flat_map(|(_, done)| done).collect())
}

/// Let `work` go over runs of `run` items, side by side; the results in the items' order.
pub(crate) fn spread<T: Send, R: Send>(items: &mut [T], run: usize, work: impl Fn(&mut [T]) -> R + Sync) -> Vec<R> {
    let run = run.max(1);
    let threads = items.len().div_ceil(run);
    let runs = Mutex::new(items.chunks_mut(run).enumerate());
    let results = Mutex::new(Vec::with_capacity(threads));
    let go = || {
        loop {
            let next = lock(&runs).next();
            let Some((at, items)) = next else { return };
            let done = work(items);
            lock(&results).push((at, done));
        }
    };
    std::thread::scope(|scope| {
        let others = helpers(scope, threads.saturating_sub(1), go);
        go();
        others.into_iter().for_each(|other| other.join().unwrap_or_else(|panic| resume_unwind(panic)));
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, done)| done).collect()
}

/// Start so many threads, or as many as the system gives: whoever starts them does the work of those that it refuses. They work on
/// behalf of the same caller.
pub(crate) fn helpers<'scope, R: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    count: usize,
    work: impl Fn() -> R + Copy + Send + 'scope,
) -> Vec<ScopedJoinHandle<'scope, R>> {
    let flag = Cancel::here();
    let start = |_| {
        let flag = flag.clone();
        Builder::new().spawn_scoped(scope, move || serving(flag, work)).ok()
    };
    (0..count).map_while(start).collect()
}

/// Hash one large blob on up to `threads` threads.
pub(crate) fn hash_large(bytes: &[u8], threads: usize, cancel: &Cancel) -> Result<Digest> {
    let mut hasher = StreamHasher::new();
    for piece in bytes.chunks(PATIENCE) {
        cancel.check()?;
        hasher.update_parallel(piece, threads);
    }
    Ok(hasher.finish())
}

/// Bytes that are hashed before it is seen whether the caller still wants it: some milliseconds.
const PATIENCE: usize = 32 * 1024 * 1024;

fn panicked() -> Error {
    Error::new(Kind::Corrupt, "internal", "a worker thread of the engine panicked")
}

/// Take a lock whose holder may have panicked: the state behind it is checked by its users.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::portions;

    #[test]
    fn what_passes_through_memory_at_once_is_bounded_in_bytes_and_in_number() {
        const MIB: u64 = 1024 * 1024;
        let sizes = [3 * MIB, 3 * MIB, 3 * MIB, 16 * MIB, MIB, MIB, MIB, MIB];
        let cut: Vec<usize> = portions(&sizes, 3, |size| *size).map(<[u64]>::len).collect();
        assert_eq!(cut, [2, 1, 1, 3, 1]);
        assert_eq!(portions(&[0_u64; 0], 3, |size| *size).count(), 0);
    }
}
