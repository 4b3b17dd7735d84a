//! A disk in memory that can lose power. It carries `memory://` stores, and tests of everything that must survive.
//!
//! What was written is in the *page cache* and what was synced is *durable*, and the two are kept apart per 4 KiB block of a file
//! and per name of a folder. [`SimDisk::crash`] makes the disk that is found after the power went: of what was not synced any
//! subset is there, and the same seed makes the same subset. Several processes can share a disk ([`SimDisk::process`]); a killed
//! one loses its locks and unpublished files, the disk stays as it is. [`Fault`]s strike at a chosen operation, [`Bug`]s are
//! lies that a disk can tell, to see whether tests notice them.

mod bytes;
mod crash;
mod fault;
mod folder;
mod handles;
mod random;

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, Weak};

use rustix::io::Errno;

use self::bytes::Inode;
pub use self::fault::{Bug, Failure, Fault, Op, Record};
use self::fault::{Control, Meanwhile, Turn};
use self::folder::{Folder, Node};
use self::handles::{SimFile, SimLock, SimStaged};
use super::path::{check, split};
use super::system_ms;
use super::{Disk, File, FileSystem, Lock, Meta, Parked, Staged};

/// One process's handle on a disk in memory.
#[derive(Clone, Debug)]
pub struct SimDisk {
    shared: Arc<Shared>,
    process: Arc<Process>,
    file_system: FileSystem,
}

/// The disk itself.
#[derive(Debug)]
struct Shared {
    /// Operations hold it shared; a crash holds it alone, so that what is found afterwards stood together at one moment.
    gate: RwLock<()>,
    control: Mutex<Control>,
    root: Arc<Folder>,
    /// What `sync_all` has to look at: files and folders that may have unsynced changes.
    unsynced: Mutex<Unsynced>,
    clock: Mutex<Clock>,
}

#[derive(Debug, Default)]
struct Unsynced {
    files: Vec<Weak<Inode>>,
    folders: Vec<Arc<Folder>>,
    /// Length of `files` at which those that need nothing any more are taken out.
    prune_at: usize,
}

#[derive(Clone, Copy, Debug)]
enum Clock {
    System,
    Set(i64),
}

#[derive(Debug)]
struct Process {
    number: u32,
    alive: AtomicBool,
}

/// Where simulated time begins: 2026-01-01.
const EPOCH_MS: i64 = 1_767_225_600_000;

/// A poisoned lock only says that another test thread panicked; the data behind it are whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for SimDisk {
    fn default() -> Self {
        Self::new()
    }
}

impl SimDisk {
    /// An empty disk whose clock stands still until it is set.
    pub fn new() -> Self {
        Self::with_clock(Clock::Set(EPOCH_MS))
    }

    /// An empty disk for a store in memory: its clock is the system's.
    pub fn memory() -> Self {
        Self::with_clock(Clock::System)
    }

    fn with_clock(clock: Clock) -> Self {
        Self::mount(Arc::new(Folder::default()), Control::default(), clock)
    }

    fn mount(root: Arc<Folder>, mut control: Control, clock: Clock) -> Self {
        let process = Arc::new(Process { number: control.next_process(), alive: AtomicBool::new(true) });
        let shared = Shared {
            gate: RwLock::new(()),
            control: Mutex::new(control),
            root,
            unsynced: Mutex::default(),
            clock: Mutex::new(clock),
        };
        Self { shared: Arc::new(shared), process, file_system: FileSystem::Local }
    }

    /// Another process on the same disk. (A clone of a handle is another thread of the same process.)
    #[must_use]
    pub fn process(&self) -> Self {
        let number = lock(&self.shared.control).next_process();
        let process = Arc::new(Process { number, alive: AtomicBool::new(true) });
        Self { shared: Arc::clone(&self.shared), process, file_system: self.file_system }
    }

    /// The same disk, as if it stood on such a file system.
    #[must_use]
    pub fn on(mut self, file_system: FileSystem) -> Self {
        self.file_system = file_system;
        self
    }

    /// The number of this process in the log.
    pub fn process_number(&self) -> u32 {
        self.process.number
    }

    /// Kill this process: its locks are free, its unpublished files gone, every further call of it fails. The disk stays.
    pub fn kill(&self) {
        self.process.alive.store(false, Ordering::Release);
    }

    /// Arrange for a failure.
    pub fn inject(&self, fault: Fault) {
        lock(&self.shared.control).faults.push(fault);
    }

    /// Have something done right before the operation after the next `after` ones, of whatever sort: a caller who gives up, say, or
    /// what another process does.
    pub fn meanwhile(&self, after: u64, what: impl FnOnce() + Send + 'static) {
        let mut control = lock(&self.shared.control);
        let after = control.count(None).saturating_add(after);
        control.meanwhile = Some(Meanwhile { after, what: Box::new(what) });
    }

    /// Forget all failures arranged, and turn the power on again.
    pub fn heal(&self) {
        let mut control = lock(&self.shared.control);
        control.faults.clear();
        control.power_lost = false;
    }

    /// Plant a bug for as long as the disk lasts, crashes included.
    pub fn plant(&self, bug: Bug) {
        lock(&self.shared.control).bugs.push(bug);
    }

    /// How many operations of a sort (`None`: of all sorts) this disk has seen.
    pub fn count(&self, op: Option<Op>) -> u64 {
        lock(&self.shared.control).count(op)
    }

    /// Write down operations from now on.
    pub fn record(&self) {
        lock(&self.shared.control).log.get_or_insert_default();
    }

    /// Take the operations written down so far.
    pub fn take_log(&self) -> Vec<Record> {
        lock(&self.shared.control).log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Set the disk's clock, in milliseconds since 1970.
    pub fn set_clock(&self, ms: i64) {
        *lock(&self.shared.clock) = Clock::Set(ms);
    }

    /// Change a file's bytes behind everybody's back, cached and durable ones alike.
    ///
    /// # Errors
    /// There is no such file.
    pub fn damage(&self, path: &str, change: impl FnOnce(&mut Vec<u8>)) -> io::Result<()> {
        match self.find(path)? {
            Some(Node::File(inode)) => {
                inode.damage(change);
                Ok(())
            }
            Some(Node::Folder(_)) => Err(Errno::ISDIR.into()),
            None => Err(Errno::NOENT.into()),
        }
    }

    fn now_ms(&self) -> i64 {
        match *lock(&self.shared.clock) {
            Clock::Set(ms) => ms,
            Clock::System => system_ms(),
        }
    }

    /// Count an operation; an error when this process or the power is gone.
    fn turn(&self, op: Op, path: &str) -> io::Result<Turn<'_>> {
        let due = lock(&self.shared.control).due();
        if let Some(what) = due {
            what();
        }
        let gate = self.shared.gate.read().unwrap_or_else(PoisonError::into_inner);
        lock(&self.shared.control).turn(gate, &self.process, op, path)
    }

    /// Do an operation that takes effect wholly or, when a fault strikes, not at all.
    fn act<T>(&self, op: Op, path: &str, effect: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let turn = self.turn(op, path)?;
        turn.refuse()?;
        turn.finish(effect()?)
    }

    fn has(&self, bug: Bug) -> bool {
        lock(&self.shared.control).bugs.contains(&bug)
    }

    fn find(&self, path: &str) -> io::Result<Option<Node>> {
        let (folder, name) = split(path)?;
        match self.folder(folder) {
            Ok(folder) => Ok(folder.get(name)),
            Err(e) if matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn folder(&self, path: &str) -> io::Result<Arc<Folder>> {
        let mut folder = Arc::clone(&self.shared.root);
        for part in path.split('/').filter(|_| !path.is_empty()) {
            check(part)?;
            folder = match folder.get(part) {
                Some(Node::Folder(next)) => next,
                Some(Node::File(_)) => return Err(Errno::NOTDIR.into()),
                None => return Err(Errno::NOENT.into()),
            };
        }
        Ok(folder)
    }

    /// As `set_name`, but in a folder that is missing there is nothing to change.
    fn set_name_if_parent(
        &self,
        path: &str,
        change: impl FnOnce(Option<Node>) -> io::Result<Option<Node>>,
    ) -> io::Result<()> {
        match self.set_name(path, change) {
            Err(e) if e.raw_os_error() == Some(Errno::NOENT.raw_os_error()) => Ok(()),
            done => done,
        }
    }

    /// Change a name in a folder, for `sync_all` to find.
    fn set_name(&self, path: &str, change: impl FnOnce(Option<Node>) -> io::Result<Option<Node>>) -> io::Result<()> {
        let (folder, name) = split(path)?;
        let folder = self.folder(folder)?;
        if folder.change(name, change)? {
            lock(&self.shared.unsynced).folders.push(folder);
        }
        Ok(())
    }

    fn stage_file(&self) -> SimStaged {
        let inode = Arc::new(Inode::new(self.now_ms()));
        let mut unsynced = lock(&self.shared.unsynced);
        if unsynced.files.len() >= unsynced.prune_at.max(1024) {
            unsynced.files.retain(|file| file.upgrade().is_some_and(|inode| inode.is_dirty()));
            unsynced.prune_at = unsynced.files.len().saturating_mul(2);
        }
        unsynced.files.push(Arc::downgrade(&inode));
        SimStaged::new(self.clone(), inode)
    }
}

impl Disk for SimDisk {
    fn describe(&self) -> String {
        "memory".to_owned()
    }

    fn now_ms(&self) -> i64 {
        Self::now_ms(self)
    }

    fn file_system(&self) -> io::Result<FileSystem> {
        Ok(self.file_system)
    }

    fn create_dir(&self, path: &str) -> io::Result<bool> {
        self.act(Op::CreateDir, path, || {
            let mut made = false;
            self.set_name(path, |old| {
                made = old.is_none();
                Ok(Some(old.unwrap_or_else(|| Node::Folder(Arc::default()))))
            })?;
            Ok(made)
        })
    }

    fn visit(&self, dir: &str, see: &mut dyn FnMut(&str, bool) -> bool) -> io::Result<()> {
        let entries = self.act(Op::List, dir, || Ok(self.folder(dir)?.entries()))?;
        let _all = entries.iter().all(|entry| see(&entry.name, entry.is_dir));
        Ok(())
    }

    fn stat(&self, path: &str) -> io::Result<Option<Meta>> {
        self.act(Op::Stat, path, || {
            Ok(self.find(path)?.map(|node| match node {
                Node::File(inode) => Meta { len: inode.len(), modified_ms: inode.modified_ms(), is_dir: false },
                Node::Folder(_) => Meta { len: 0, modified_ms: self.now_ms(), is_dir: true },
            }))
        })
    }

    fn open(&self, path: &str) -> io::Result<Option<Arc<dyn File>>> {
        self.act(Op::Open, path, || match self.find(path)? {
            Some(Node::File(inode)) => Ok(Some(Arc::new(SimFile::new(self.clone(), path, inode)) as Arc<dyn File>)),
            Some(Node::Folder(_)) => Err(Errno::ISDIR.into()),
            None => Ok(None),
        })
    }

    fn stage(&self) -> io::Result<Box<dyn Staged>> {
        self.act(Op::Stage, "", || Ok(Box::new(self.stage_file()) as Box<dyn Staged>))
    }

    fn park(&self, bytes: &[u8]) -> io::Result<Box<dyn Parked>> {
        self.act(Op::Park, "", || {
            let file = self.stage_file();
            file.fill(bytes)?;
            Ok(Box::new(file) as Box<dyn Parked>)
        })
    }

    fn remove(&self, path: &str) -> io::Result<bool> {
        self.act(Op::Remove, path, || {
            let mut gone = false;
            self.set_name_if_parent(path, |old| match old {
                Some(Node::Folder(_)) => Err(Errno::ISDIR.into()),
                old => {
                    gone = old.is_some();
                    Ok(None)
                }
            })?;
            Ok(gone)
        })
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        let turn = self.turn(Op::SyncDir, dir)?.outlived()?;
        let folder = self.folder(dir)?;
        turn.refuse().inspect_err(|_| folder.forget())?;
        if !self.has(Bug::SyncDirIgnored) {
            folder.sync();
        }
        turn.finish(())
    }

    fn sync_all(&self) -> io::Result<()> {
        let turn = self.turn(Op::SyncAll, "")?.outlived()?;
        let Unsynced { files, folders, .. } = std::mem::take(&mut *lock(&self.shared.unsynced));
        let files = files.iter().filter_map(Weak::upgrade);
        folders.iter().for_each(|folder| folder.unlist());
        if let Err(e) = turn.refuse() {
            files.for_each(|file| file.forget(&mut turn.random()));
            folders.iter().for_each(|folder| folder.forget());
            return Err(e);
        }
        if !self.has(Bug::SyncAllIgnored) {
            files.for_each(|file| file.sync());
            folders.iter().for_each(|folder| folder.sync());
        }
        turn.finish(())
    }

    fn try_lock(&self, path: &str, create: bool) -> io::Result<Option<Box<dyn Lock>>> {
        self.act(Op::Lock, path, || {
            let file = match self.find(path)? {
                Some(Node::Folder(_)) => return Err(Errno::ISDIR.into()),
                Some(Node::File(inode)) => Some(inode),
                None if !create => return Ok(None),
                None => None,
            };
            let inode = match file {
                Some(inode) => inode,
                None => {
                    let mut inode = Arc::new(Inode::new(self.now_ms()));
                    self.set_name(path, |old| match old {
                        // Another thread made it meanwhile.
                        Some(Node::File(there)) => {
                            inode = Arc::clone(&there);
                            Ok(Some(Node::File(there)))
                        }
                        _ => Ok(Some(Node::File(Arc::clone(&inode)))),
                    })?;
                    inode
                }
            };
            let taken = inode.try_lock(&self.process) || self.has(Bug::LocksIgnored);
            Ok(taken.then(|| Box::new(SimLock::new(inode, Arc::clone(&self.process))) as Box<dyn Lock>))
        })
    }
}

#[cfg(test)]
mod tests;
