//! A folder of a real file system, held by one descriptor. Nothing outside it is ever opened, no symbolic link in it followed.

mod beneath;
mod file;
mod kind;
mod staging;

use crate::mutant::planted;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{self, AtFlags, FileType, FlockOperation, Mode, OFlags, Stat};
use rustix::io::Errno;

pub use self::kind::FileSystem;

use self::beneath::{Root, retry};
use self::file::{RealFile, full_sync};
use self::staging::Staging;
use super::{Disk, File, Lock, Meta, Parked, Staged};

/// Permissions of new files and folders, narrowed by the process's umask.
const FILE_MODE: Mode = Mode::from_raw_mode(0o666);
const DIR_MODE: Mode = Mode::from_raw_mode(0o777);

/// A store's folder on a real file system.
#[derive(Debug)]
pub struct RealDisk {
    path: PathBuf,
    root: Arc<Root>,
    file_mode: Mode,
    staging: Mutex<Option<Arc<Staging>>>,
    /// Serialises `syncfs`: the kernel tells a lost write once per descriptor, and every waiter must hear of it.
    sync: Mutex<()>,
    sync_failed: AtomicBool,
}

impl RealDisk {
    /// Hold an existing folder.
    ///
    /// # Errors
    /// It is missing, no folder, or may not be read.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            root: Arc::new(Root::open(path)?),
            file_mode: FILE_MODE,
            staging: Mutex::new(None),
            sync: Mutex::new(()),
            sync_failed: AtomicBool::new(false),
        })
    }

    /// Hold a folder, made with all its missing parents; their names are durable on return.
    ///
    /// # Errors
    /// A folder cannot be made, opened or synced.
    pub fn create(path: &Path) -> io::Result<Self> {
        make_folders(path)?;
        Self::open(path)
    }

    /// Let new files be their owner's alone, whatever the umask says.
    #[must_use]
    pub fn private(mut self) -> Self {
        self.file_mode = Mode::RUSR | Mode::WUSR;
        self
    }

    /// The folder of this handle's unpublished files, made at the first write.
    fn staging(&self) -> io::Result<Arc<Staging>> {
        let mut held = self.staging.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some(staging) if staging.is_ours() => Ok(Arc::clone(staging)),
            _ => Ok(Arc::clone(held.insert(Arc::new(Staging::new(&self.root, self.file_mode)?)))),
        }
    }

    /// Make a file in the staging folder; in a new one, if somebody emptied `tmp/` under us.
    fn in_staging<T>(&self, make: impl Fn(&Arc<Staging>) -> io::Result<T>) -> io::Result<T> {
        let staging = self.staging()?;
        match make(&staging) {
            Err(_) if staging.is_gone() => {
                *self.staging.lock().unwrap_or_else(PoisonError::into_inner) = None;
                make(&self.staging()?)
            }
            made => made,
        }
    }
}

/// `mkdir -p`, each new name synced into its parent: an acknowledged write must not hang on a folder that power loss takes away.
fn make_folders(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    match std::fs::create_dir(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => {
            make_folders(parent.ok_or(e)?)?;
            match std::fs::create_dir(path) {
                Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
                _ => {}
            }
        }
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        made => made?,
    }
    let parent = parent.unwrap_or(Path::new("."));
    full_sync(fs::open(parent, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

impl Disk for RealDisk {
    fn describe(&self) -> String {
        self.path.display().to_string()
    }

    fn file_system(&self) -> io::Result<FileSystem> {
        kind::of(self.root.folder())
    }

    fn create_dir(&self, path: &str) -> io::Result<bool> {
        let (parent, name) = self.root.parent(path)?;
        match retry(|| fs::mkdirat(&parent, name, DIR_MODE)) {
            Ok(()) => Ok(true),
            Err(Errno::EXIST) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn visit(&self, dir: &str, see: &mut dyn FnMut(&str, bool) -> bool) -> io::Result<()> {
        beneath::visit(&self.root.open_dir(dir)?, see)
    }

    fn stat(&self, path: &str) -> io::Result<Option<Meta>> {
        let found = self
            .root
            .parent(path)
            .and_then(|(parent, name)| Ok(retry(|| fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW))?));
        match found {
            Ok(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink => Err(Errno::LOOP.into()),
            Ok(stat) => Ok(Some(meta(&stat))),
            Err(e) if beneath::is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn open(&self, path: &str) -> io::Result<Option<Arc<dyn File>>> {
        // NONBLOCK: a planted pipe must not hang the reader before it is recognised.
        match self.root.open_file(path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()) {
            Ok(fd) => Ok(Some(Arc::new(RealFile::new(fd)?))),
            Err(e) if beneath::is_absent(&e) => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn stage(&self) -> io::Result<Box<dyn Staged>> {
        Ok(Box::new(self.in_staging(|staging| staging.stage(&self.root))?))
    }

    fn park(&self, bytes: &[u8]) -> io::Result<Box<dyn Parked>> {
        Ok(Box::new(self.in_staging(|staging| staging.park(&self.root, bytes))?))
    }

    fn remove(&self, path: &str) -> io::Result<bool> {
        let (parent, name) = match self.root.parent(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(false),
            found => found?,
        };
        match retry(|| fs::unlinkat(&parent, name, AtFlags::empty())) {
            Ok(()) => Ok(true),
            Err(Errno::NOENT) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        if planted("no-dir-sync") {
            return Ok(());
        }
        full_sync(self.root.open_dir(dir)?)
    }

    fn sync_all(&self) -> io::Result<()> {
        let _alone = self.sync.lock().unwrap_or_else(PoisonError::into_inner);
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(Errno::IO.into());
        }
        file::sync_file_system(self.root.folder()).inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }

    fn try_lock(&self, path: &str, create: bool) -> io::Result<Option<Box<dyn Lock>>> {
        let (parent, name) = match self.root.parent(path) {
            Err(e) if !create && beneath::is_absent(&e) => return Ok(None),
            found => found?,
        };
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let flags = flags | if create { OFlags::RDWR | OFlags::CREATE } else { OFlags::RDONLY };
        loop {
            let file = match retry(|| fs::openat(&parent, name, flags, FILE_MODE)) {
                Err(Errno::NOENT) if !create => return Ok(None),
                opened => opened?,
            };
            match retry(|| fs::flock(&file, FlockOperation::NonBlockingLockExclusive)) {
                Err(Errno::WOULDBLOCK) => return Ok(None),
                locked => locked?,
            }
            // Its last holder may have removed it: a lock on a file without the name guards nothing.
            let held = fs::fstat(&file)?;
            match retry(|| fs::statat(&parent, name, AtFlags::SYMLINK_NOFOLLOW)) {
                Ok(named) if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino) => {
                    return Ok(Some(Box::new(RealLock { _file: file })));
                }
                Ok(_) | Err(Errno::NOENT) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
}

/// Closing the descriptor, by dropping or by the process's death, releases the lock.
#[derive(Debug)]
struct RealLock {
    _file: rustix::fd::OwnedFd,
}

impl Lock for RealLock {}

fn meta(stat: &Stat) -> Meta {
    Meta {
        len: u64::try_from(stat.st_size).unwrap_or(0),
        modified_ms: modified_ms(stat),
        is_dir: FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
    }
}

#[allow(clippy::unnecessary_cast, clippy::cast_possible_wrap, reason = "the fields' types differ between systems")]
fn modified_ms(stat: &Stat) -> i64 {
    (stat.st_mtime as i64).saturating_mul(1000).saturating_add(stat.st_mtime_nsec as i64 / 1_000_000)
}

#[cfg(test)]
mod tests;
