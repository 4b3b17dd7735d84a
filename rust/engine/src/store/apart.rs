//! Small reads that stand apart, where each is a request: one call asks for all of them.
//!
//! A thread for each would wait for its own request, and whoever carries requests would speak to dozens of threads in turn.

use std::io;

use super::Inner;
use super::frames::{Task, fail_all, gone, span};
use super::packs::pack_path;
use crate::cancel::Cancel;
use crate::disk::Wanted;
use crate::error::At;
use crate::format::entry::Entry;
use crate::index::levels::Snapshot;
use crate::{Error, Result};

/// What is longer has a thread that unpacks it while others are on their way.
const SMALL: u64 = 256 * 1024;

/// Bytes that one call asks for.
const TOGETHER: u64 = 16 * 1024 * 1024;

/// Owners of what failed, with the reason.
type Failed = Vec<(usize, Entry, Error)>;

/// What one worker does.
pub(super) enum Work<'a> {
    One(Task<'a>),
    Together(Vec<Task<'a>>),
}

impl Inner {
    /// Put together what one call asks for, before all else: that takes longest.
    pub(super) fn sort_out<'a>(&self, snapshot: &Snapshot, tasks: Vec<Task<'a>>) -> Vec<Work<'a>> {
        let is_small = |task: &Task<'_>| {
            let file = task.first().is_some_and(|job| snapshot.embedded(&job.entry.pack).is_none());
            file && span(task).is_ok_and(|(start, end)| end.saturating_sub(start) <= SMALL)
        };
        if !self.disk.reach().far || tasks.iter().filter(|task| is_small(task)).count() < 2 {
            return tasks.into_iter().map(Work::One).collect();
        }
        let (small, large): (Vec<_>, Vec<_>) = tasks.into_iter().partition(is_small);
        let mut works = vec![Work::Together(small)];
        works.extend(large.into_iter().map(Work::One));
        works
    }

    /// Read what stands apart.
    pub(super) fn read_together(&self, snapshot: &Snapshot, tasks: Vec<Task<'_>>, cancel: &Cancel) -> Failed {
        let mut failed = Vec::new();
        let mut rest = tasks.into_iter().peekable();
        while rest.peek().is_some() {
            let mut bytes = 0_u64;
            let mut some = Vec::new();
            while bytes < TOGETHER
                && let Some(task) = rest.next()
            {
                bytes = bytes.saturating_add(span(&task).map_or(0, |(start, end)| end.saturating_sub(start)));
                some.push(task);
            }
            failed.append(&mut self.read_some(snapshot, some, cancel));
        }
        failed
    }

    fn read_some(&self, snapshot: &Snapshot, tasks: Vec<Task<'_>>, cancel: &Cancel) -> Failed {
        let all = |error: &Error| tasks.iter().flat_map(|task| fail_all(task, error)).collect();
        let found = match cancel.check().and_then(|()| self.ask(&tasks)) {
            Ok(found) if found.len() == tasks.len() => found,
            Ok(_) => return all(&super::internal()),
            Err(error) => return all(&error),
        };
        let mut failed = Vec::new();
        for (task, bytes) in tasks.into_iter().zip(found) {
            let mut bad = match bytes {
                Ok(bytes) => self.unpack_task(task, (*bytes).as_ref()),
                // It is shorter than it should be: what there is of it is read by itself.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => self.read_task(snapshot, task),
                Err(error) => fail_all(&task, &told(&task, error)),
            };
            failed.append(&mut bad);
        }
        failed
    }

    fn ask(&self, tasks: &[Task<'_>]) -> Result<Vec<io::Result<crate::disk::Bytes>>> {
        let mut wanted = Vec::with_capacity(tasks.len());
        for task in tasks {
            let (start, end) = span(task)?;
            let path = task.first().map(|job| pack_path(&job.entry.pack)).ok_or_else(super::internal)?;
            let len = usize::try_from(end.saturating_sub(start)).map_err(|_| super::internal())?;
            wanted.push(Wanted { path, offset: start, len });
        }
        self.disk.read_many(&wanted).at("read", "packs")
    }
}

fn told(task: &Task<'_>, error: io::Error) -> Error {
    let Some(job) = task.first() else { return super::internal() };
    if error.kind() == io::ErrorKind::NotFound {
        return gone(&job.entry.pack);
    }
    match Err::<(), _>(error).at("read pack", &job.entry.pack.to_string()) {
        Err(error) => error,
        Ok(()) => super::internal(),
    }
}
