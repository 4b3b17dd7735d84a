//! Operations, and how they are made to fail.

use std::io;
use std::sync::RwLockReadGuard;
use std::sync::atomic::Ordering;

use rustix::io::Errno;

use super::Process;
use super::random::Random;

/// The sorts of operations, one per method of the disk traits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs, reason = "each is named after its method")]
pub enum Op {
    CreateDir,
    List,
    Stat,
    Open,
    Read,
    Length,
    Stage,
    Park,
    Write,
    Sync,
    Publish,
    Replace,
    Remove,
    SyncDir,
    SyncAll,
    Lock,
}

const OPS: usize = 16;

/// A failure, and the operation it strikes.
#[derive(Clone, Debug)]
pub struct Fault {
    /// The sort of operation to strike; `None`: any.
    pub op: Option<Op>,
    /// How many operations of that sort to let pass first.
    pub after: u64,
    /// The only process to strike; `None`: any.
    pub process: Option<u32>,
    /// What happens.
    pub failure: Failure,
}

/// What happens to the operation that is struck.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// It has no effect and reports this error number. Of a sync: what was to be synced counts as clean from now on, some of it lost.
    Error(i32),
    /// It takes effect, and reports this error number all the same.
    AfterEffect(i32),
    /// A write puts down half of its bytes and reports a full disk; another operation has no effect and reports the same.
    ShortWrite,
    /// The power goes: this and all later operations of all processes have no effect and report an I/O error.
    PowerCut,
    /// Its process is killed.
    Kill,
}

impl Failure {
    /// `EIO`.
    pub const IO: Self = Self::Error(Errno::IO.raw_os_error());
    /// `ENOSPC`.
    pub const DISK_FULL: Self = Self::Error(Errno::NOSPC.raw_os_error());
    /// `EINTR`; of a sync only, everything else is repeated and thus succeeds.
    pub const INTERRUPTED: Self = Self::Error(Errno::INTR.raw_os_error());
}

impl Fault {
    /// Strike the operation after the next `after` ones.
    pub fn at(after: u64, failure: Failure) -> Self {
        Self { op: None, after, process: None, failure }
    }

    /// Strike the operation of a sort after the next `after` ones of that sort.
    pub fn on(op: Op, after: u64, failure: Failure) -> Self {
        Self { op: Some(op), after, process: None, failure }
    }
}

/// A lie that a disk can tell, to see that tests notice it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bug {
    /// Syncing a file does nothing.
    SyncIgnored,
    /// Syncing a folder does nothing.
    SyncDirIgnored,
    /// Syncing the file system does nothing.
    SyncAllIgnored,
    /// Every lock is free.
    LocksIgnored,
}

/// An operation that was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number on this disk, from 0.
    pub number: u64,
    /// The process that asked for it.
    pub process: u32,
    /// What it was.
    pub op: Op,
    /// What it was done to; empty for files without a name.
    pub path: String,
    /// The failure that struck it.
    pub failure: Option<Failure>,
}

/// What somebody else does at a moment between two operations.
pub(super) struct Meanwhile {
    pub(super) after: u64,
    pub(super) what: Box<dyn FnOnce() + Send>,
}

impl std::fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Meanwhile").field("after", &self.after).finish_non_exhaustive()
    }
}

/// Everything about a disk but its contents.
#[derive(Debug, Default)]
pub(super) struct Control {
    number: u64,
    counts: [u64; OPS],
    processes: u32,
    pub(super) faults: Vec<Fault>,
    pub(super) meanwhile: Option<Meanwhile>,
    pub(super) bugs: Vec<Bug>,
    pub(super) power_lost: bool,
    pub(super) log: Option<Vec<Record>>,
}

impl Control {
    pub(super) fn next_process(&mut self) -> u32 {
        let number = self.processes;
        self.processes = number.saturating_add(1);
        number
    }

    /// What is to be done before the next operation.
    pub(super) fn due(&mut self) -> Option<Box<dyn FnOnce() + Send>> {
        let number = self.number;
        self.meanwhile.take_if(|meanwhile| meanwhile.after <= number).map(|meanwhile| meanwhile.what)
    }

    pub(super) fn count(&self, op: Option<Op>) -> u64 {
        op.map_or(self.number, |op| self.counts.get(op as usize).copied().unwrap_or(0))
    }

    pub(super) fn after_crash(&self) -> Self {
        Self { bugs: self.bugs.clone(), processes: self.processes, ..Self::default() }
    }

    pub(super) fn turn<'a>(
        &mut self,
        gate: RwLockReadGuard<'a, ()>,
        process: &Process,
        op: Op,
        path: &str,
    ) -> io::Result<Turn<'a>> {
        if !process.alive.load(Ordering::Acquire) {
            return Err(Errno::SRCH.into());
        }
        let number = self.number;
        self.number = number.saturating_add(1);
        if let Some(count) = self.counts.get_mut(op as usize) {
            *count = count.saturating_add(1);
        }
        let failure = if self.power_lost { Some(Failure::PowerCut) } else { self.strike(op, process.number) };
        match failure {
            Some(Failure::PowerCut) => self.power_lost = true,
            Some(Failure::Kill) => process.alive.store(false, Ordering::Release),
            _ => {}
        }
        if let Some(log) = &mut self.log {
            log.push(Record { number, process: process.number, op, path: path.to_owned(), failure });
        }
        Ok(Turn { _gate: gate, number, op, failure })
    }

    /// The failure that is due for this operation, if any. A fault strikes once.
    fn strike(&mut self, op: Op, process: u32) -> Option<Failure> {
        let mut due = None;
        self.faults.retain_mut(|fault| {
            if fault.op.is_some_and(|only| only != op) || fault.process.is_some_and(|only| only != process) {
                return true;
            }
            match fault.after.checked_sub(1) {
                Some(left) => {
                    fault.after = left;
                    true
                }
                None => {
                    due = Some(fault.failure);
                    false
                }
            }
        });
        due
    }
}

/// An operation that is being done.
pub(super) struct Turn<'a> {
    _gate: RwLockReadGuard<'a, ()>,
    number: u64,
    op: Op,
    failure: Option<Failure>,
}

impl Turn<'_> {
    /// The error of an operation that must not take effect.
    pub(super) fn refuse(&self) -> io::Result<()> {
        let errno = match self.failure {
            None | Some(Failure::AfterEffect(_)) => return Ok(()),
            // As on a real disk: interrupted calls are repeated, but for syncs.
            Some(Failure::INTERRUPTED) if !matches!(self.op, Op::Sync | Op::SyncDir | Op::SyncAll) => return Ok(()),
            Some(Failure::Error(errno)) => Errno::from_raw_os_error(errno),
            Some(Failure::ShortWrite) => Errno::NOSPC,
            Some(Failure::PowerCut) => Errno::IO,
            Some(Failure::Kill) => Errno::SRCH,
        };
        Err(errno.into())
    }

    /// The error of a sync that its process did not live to ask for: unlike one that fails it changes nothing.
    pub(super) fn outlived(self) -> io::Result<Self> {
        if self.failure == Some(Failure::Kill) { Err(Errno::SRCH.into()) } else { Ok(self) }
    }

    /// The result of an operation that took effect.
    pub(super) fn finish<T>(self, value: T) -> io::Result<T> {
        match self.failure {
            Some(Failure::AfterEffect(errno)) => Err(Errno::from_raw_os_error(errno).into()),
            _ => Ok(value),
        }
    }

    pub(super) fn is_short(&self) -> bool {
        self.failure == Some(Failure::ShortWrite)
    }

    pub(super) fn random(&self) -> Random {
        Random::new(self.number)
    }
}
