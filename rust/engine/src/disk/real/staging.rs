//! Files without a name. `tmp/<handle>/` belongs to one disk handle, which holds the kernel lock on that folder while it lives:
//! whoever can take the lock of another's folder knows that its process is dead and clears it away.
//! Where the file system has unnamed files (`O_TMPFILE`), nothing but folders is ever left behind.

use std::io::{self, IoSlice, IoSliceMut};
#[cfg(target_os = "linux")]
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fd::{AsFd, AsRawFd, OwnedFd};
use rustix::fs::{self, AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, getpid};

use super::beneath::{self, Root, retry};
use super::{DIR_MODE, file};
use crate::WriterId;
use crate::disk::{Parked, Staged};
use crate::mutant::planted;

const TMP: &str = "tmp";
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// The folder of one handle's unpublished files.
#[derive(Debug)]
pub(super) struct Staging {
    tmp: OwnedFd,
    name: String,
    /// Holds the lock.
    folder: OwnedFd,
    file_mode: Mode,
    next: AtomicU64,
    /// Cleared when the file system turns out to have no unnamed files.
    unnamed: AtomicBool,
    /// A forked child inherits the handle, not the files.
    owner: Pid,
}

impl Staging {
    pub(super) fn new(root: &Root, file_mode: Mode) -> io::Result<Self> {
        match retry(|| fs::mkdirat(root.folder(), TMP, DIR_MODE)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(e) => return Err(e.into()),
        }
        let tmp = root.open_dir(TMP)?;
        let (name, folder) = loop {
            let name = WriterId::random().map_err(io::Error::other)?.to_string();
            match retry(|| fs::mkdirat(&tmp, &name, DIR_MODE)) {
                Err(Errno::EXIST) => continue,
                made => made?,
            }
            // Another handle's clearing may come between making and locking: then there is no folder under the name.
            if let Some(folder) = lock_folder(&tmp, &name)? {
                break (name, folder);
            }
        };
        clear_leftovers(&tmp)?;
        let unnamed = cfg!(target_os = "linux") && fs::access("/proc/self/fd", fs::Access::EXISTS).is_ok();
        let (next, unnamed) = (AtomicU64::new(0), AtomicBool::new(unnamed));
        Ok(Self { tmp, name, folder, file_mode, next, unnamed, owner: getpid() })
    }

    /// Whether this process made it, not the one it was forked from.
    pub(super) fn is_ours(&self) -> bool {
        self.owner == getpid()
    }

    /// Whether somebody removed the folder.
    pub(super) fn is_gone(&self) -> bool {
        fs::fstat(&self.folder).is_ok_and(|stat| stat.st_nlink == 0)
    }

    pub(super) fn stage(self: &Arc<Self>, root: &Arc<Root>) -> io::Result<RealStaged> {
        let (fd, name) = match self.open_unnamed()? {
            Some(fd) => (fd, None),
            None => {
                let (fd, name) = self.open_named()?;
                (fd, Some(name))
            }
        };
        Ok(RealStaged { fd, name, failed: false, staging: Arc::clone(self), root: Arc::clone(root) })
    }

    pub(super) fn park(self: &Arc<Self>, root: &Arc<Root>, bytes: &[u8]) -> io::Result<RealParked> {
        let (fd, name) = self.open_named()?;
        let parked = RealParked { name: Some(name), staging: Arc::clone(self), root: Arc::clone(root) };
        file::write_at(&fd, &[IoSlice::new(bytes)], 0)?;
        send_out(&fd, 0, bytes.len() as u64);
        Ok(parked)
    }

    #[cfg(test)]
    pub(super) fn without_unnamed_files(&self) {
        self.unnamed.store(false, Ordering::Relaxed);
    }

    #[cfg(target_os = "linux")]
    fn open_unnamed(&self) -> io::Result<Option<OwnedFd>> {
        if !self.unnamed.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
        match retry(|| fs::openat(&self.folder, ".", flags, self.file_mode)) {
            Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL) => {
                self.unnamed.store(false, Ordering::Relaxed);
                Ok(None)
            }
            opened => Ok(Some(opened?)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    #[allow(clippy::unnecessary_wraps, reason = "the same signature on every system")]
    fn open_unnamed(&self) -> io::Result<Option<OwnedFd>> {
        Ok(None)
    }

    fn open_named(&self) -> io::Result<(OwnedFd, String)> {
        let name = self.next_name();
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok((retry(|| fs::openat(&self.folder, &name, flags, self.file_mode))?, name))
    }

    fn next_name(&self) -> String {
        format!("{:x}", self.next.fetch_add(1, Ordering::Relaxed))
    }

    /// Move a file out to its place; where that fails, it is removed.
    fn rename(&self, own: &str, to: impl AsFd, name: &str) -> io::Result<()> {
        Ok(retry(|| fs::renameat(&self.folder, own, &to, name)).inspect_err(|_| self.remove(own))?)
    }

    fn remove(&self, name: &str) {
        if self.is_ours() {
            // Nothing to tell anybody: what stays is cleared with the folder.
            let _ = retry(|| fs::unlinkat(&self.folder, name, AtFlags::empty()));
        }
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if self.is_ours() {
            let _ = retry(|| fs::unlinkat(&self.tmp, &self.name, AtFlags::REMOVEDIR));
        }
    }
}

/// Lock a folder in `tmp/`; `None` when another holds it or it is gone.
fn lock_folder(tmp: &OwnedFd, name: &str) -> io::Result<Option<OwnedFd>> {
    let folder = match retry(|| fs::openat(tmp, name, FOLDER, Mode::empty())) {
        Err(Errno::NOENT) => return Ok(None),
        opened => opened?,
    };
    match retry(|| fs::flock(&folder, FlockOperation::NonBlockingLockExclusive)) {
        Err(Errno::WOULDBLOCK) => return Ok(None),
        locked => locked?,
    }
    let held = fs::fstat(&folder)?;
    match retry(|| fs::statat(tmp, name, AtFlags::SYMLINK_NOFOLLOW)) {
        Ok(named) if (named.st_dev, named.st_ino) == (held.st_dev, held.st_ino) => Ok(Some(folder)),
        Ok(_) | Err(Errno::NOENT) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Remove the folders of dead handles. What cannot be removed stays for the next handle: it harms nobody.
fn clear_leftovers(tmp: &OwnedFd) -> io::Result<()> {
    for name in beneath::names(&retry(|| fs::openat(tmp, ".", FOLDER, Mode::empty()))?)? {
        let Ok(Some(folder)) = lock_folder(tmp, &name) else { continue };
        for left in beneath::names(&folder)? {
            let _ = retry(|| fs::unlinkat(&folder, &left, AtFlags::empty()));
        }
        let _ = retry(|| fs::unlinkat(tmp, &name, AtFlags::REMOVEDIR));
    }
    Ok(())
}

/// So many bytes are sent to the disk at a time while a file is still being written.
#[cfg(target_os = "linux")]
const WINDOW: u64 = 4 * 1024 * 1024;

/// A write that crosses the end of a window sends that window out: `POSIX_FADV_DONTNEED` begins to write dirty pages and does not
/// wait. It drops clean pages only, and those of the window are not clean yet. Saves of large blobs gain 15 to 25 %.
#[cfg(target_os = "linux")]
fn send_out(file: impl AsFd, offset: u64, len: u64) {
    let end = offset.saturating_add(len) / WINDOW;
    let windows = end.saturating_sub(offset / WINDOW);
    let Some(count) = NonZeroU64::new(windows.saturating_mul(WINDOW)) else { return };
    let start = (offset / WINDOW).saturating_mul(WINDOW);
    let _ = fs::fadvise(file, start, Some(count), fs::Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
fn send_out(_file: impl AsFd, _offset: u64, _len: u64) {}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct RealStaged {
    fd: OwnedFd,
    /// Its name in the staging folder, where it has one.
    name: Option<String>,
    failed: bool,
    staging: Arc<Staging>,
    root: Arc<Root>,
}

impl RealStaged {
    /// Give the file a (further) name.
    fn link(&self, to: impl AsFd, name: &str) -> io::Result<()> {
        let Some(own) = &self.name else {
            let link = format!("/proc/self/fd/{}", self.fd.as_raw_fd());
            return Ok(retry(|| fs::linkat(CWD, &link, &to, name, AtFlags::SYMLINK_FOLLOW))?);
        };
        match retry(|| fs::linkat(&self.staging.folder, own, &to, name, AtFlags::empty())) {
            // A file system without hard links.
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS) => {
                let flags = fs::RenameFlags::NOREPLACE;
                Ok(retry(|| fs::renameat_with(&self.staging.folder, own, &to, name, flags))?)
            }
            linked => Ok(linked?),
        }
    }
}

impl Staged for RealStaged {
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        file::write_at(&self.fd, buffers, offset)
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        file::read_at(&self.fd, buffers, offset)
    }

    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()> {
        send_out(&self.fd, offset, len);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        if planted("no-file-sync") {
            return Ok(());
        }
        if planted("sync-retried") {
            return file::sync_data(&self.fd).or_else(|_| file::sync_data(&self.fd));
        }
        if self.failed {
            return Err(Errno::IO.into());
        }
        file::sync_data(&self.fd).inspect_err(|_| self.failed = true)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        file::modified_ms(&self.fd)
    }

    fn publish(&mut self, path: &str) -> io::Result<()> {
        let (parent, name) = self.root.parent(path)?;
        self.link(&parent, name)?;
        if let Some(own) = self.name.take() {
            self.staging.remove(&own);
        }
        Ok(())
    }

    fn replace(&mut self, path: &str) -> io::Result<()> {
        let (parent, name) = self.root.parent(path)?;
        if planted("names-in-place") {
            return overwrite(&self.fd, parent, name, self.staging.file_mode);
        }
        let own = match self.name.take() {
            Some(own) => own,
            None => {
                let own = self.staging.next_name();
                self.link(&self.staging.folder, &own)?;
                own
            }
        };
        self.staging.rename(&own, &parent, name)
    }
}

/// What a planted bug does instead of a rename: readers and crashes see a file that is empty or half there.
fn overwrite(from: &OwnedFd, to: impl AsFd, name: &str, mode: Mode) -> io::Result<()> {
    let flags = OFlags::CREATE | OFlags::TRUNC | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let to = retry(|| fs::openat(&to, name, flags, mode))?;
    let mut bytes = vec![0; usize::try_from(fs::fstat(from)?.st_size).unwrap_or(0)];
    file::read_at(from, &mut [IoSliceMut::new(&mut bytes)], 0)?;
    let (start, end) = bytes.split_at(bytes.len() / 2);
    file::write_at(&to, &[IoSlice::new(start)], 0)?;
    file::write_at(&to, &[IoSlice::new(end)], start.len() as u64)?;
    file::sync_data(&to)
}

/// A small file that was written and closed.
#[derive(Debug)]
pub(super) struct RealParked {
    name: Option<String>,
    staging: Arc<Staging>,
    root: Arc<Root>,
}

impl Parked for RealParked {
    fn replace(&mut self, path: &str) -> io::Result<()> {
        let (parent, name) = self.root.parent(path)?;
        let own = self.name.take().ok_or(Errno::NOENT)?;
        self.staging.rename(&own, &parent, name)
    }
}

impl Drop for RealParked {
    fn drop(&mut self) {
        if let Some(own) = &self.name {
            self.staging.remove(own);
        }
    }
}

impl Drop for RealStaged {
    fn drop(&mut self) {
        if let Some(own) = &self.name {
            self.staging.remove(own);
        }
    }
}
