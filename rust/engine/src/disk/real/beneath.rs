//! Opening what lies under the root, and nothing else: no link followed, no `..`, no absolute path.

use std::ffi::CStr;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{self, AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::disk::path::{check, split};

const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Repeat a system call that a signal interrupted.
pub(super) fn retry<T>(call: impl FnMut() -> rustix::io::Result<T>) -> rustix::io::Result<T> {
    rustix::io::retry_on_intr(call)
}

/// Whether an error says that nothing stands under the path.
pub(super) fn is_absent(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// The store's folder.
#[derive(Debug)]
pub(super) struct Root {
    folder: OwnedFd,
    /// Cleared when the kernel turns out to lack `openat2` (or a sandbox forbids it): folders are then entered one by one.
    resolve: AtomicBool,
}

/// A parent folder: the root itself, or one opened for this call.
pub(super) enum Parent<'a> {
    Root(BorrowedFd<'a>),
    Opened(OwnedFd),
}

impl AsFd for Parent<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(fd) => *fd,
            Self::Opened(fd) => fd.as_fd(),
        }
    }
}

impl Root {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let folder = retry(|| fs::open(path, FOLDER, Mode::empty()))?;
        Ok(Self { folder, resolve: AtomicBool::new(cfg!(target_os = "linux")) })
    }

    #[cfg(test)]
    pub(super) fn without_openat2(&self) {
        self.resolve.store(false, Ordering::Relaxed);
    }

    pub(super) fn folder(&self) -> &OwnedFd {
        &self.folder
    }

    /// The folder a path lies in, opened, and the path's last part.
    pub(super) fn parent<'a, 'p>(&'a self, path: &'p str) -> io::Result<(Parent<'a>, &'p str)> {
        let (folder, name) = split(path)?;
        let parent =
            if folder.is_empty() { Parent::Root(self.folder.as_fd()) } else { Parent::Opened(self.open_dir(folder)?) };
        Ok((parent, name))
    }

    /// Open a folder; the empty path is the root.
    pub(super) fn open_dir(&self, path: &str) -> io::Result<OwnedFd> {
        if path.is_empty() {
            return Ok(retry(|| fs::openat(&self.folder, ".", FOLDER, Mode::empty()))?);
        }
        self.open_file(path, FOLDER, Mode::empty())
    }

    /// Open what stands under a path.
    pub(super) fn open_file(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        path.split('/').try_for_each(check)?;
        if crate::mutant::planted("follow-links") {
            return Ok(retry(|| fs::openat(&self.folder, path, flags.difference(OFlags::NOFOLLOW), mode))?);
        }
        #[cfg(target_os = "linux")]
        if self.resolve.load(Ordering::Relaxed) {
            use rustix::fs::ResolveFlags;
            let within = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
            match retry(|| fs::openat2(&self.folder, path, flags, mode, within)) {
                Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::INVAL) => {}
                opened => return Ok(opened?),
            }
            // Once more without: if it works that way, it is openat2 that this system refuses.
            let opened = self.walk(path, flags, mode)?;
            self.resolve.store(false, Ordering::Relaxed);
            return Ok(opened);
        }
        self.walk(path, flags, mode)
    }

    fn walk(&self, path: &str, flags: OFlags, mode: Mode) -> io::Result<OwnedFd> {
        let Some((folders, name)) = path.rsplit_once('/') else {
            return Ok(retry(|| fs::openat(&self.folder, path, flags, mode))?);
        };
        let mut folder: Option<OwnedFd> = None;
        for part in folders.split('/') {
            let from = folder.as_ref().unwrap_or(&self.folder);
            folder = Some(retry(|| fs::openat(from, part, FOLDER | OFlags::NOFOLLOW, Mode::empty()))?);
        }
        let from = folder.as_ref().unwrap_or(&self.folder);
        Ok(retry(|| fs::openat(from, name, flags, mode))?)
    }
}

/// Show each name in an open folder to `see`, until it answers `false`.
pub(super) fn visit(folder: &OwnedFd, see: &mut dyn FnMut(&str, bool) -> bool) -> io::Result<()> {
    let mut show = |name: &CStr, mut kind: FileType| -> io::Result<bool> {
        if matches!(name.to_bytes(), b"." | b"..") {
            return Ok(true);
        }
        if kind == FileType::Unknown {
            kind = match retry(|| fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)) {
                Ok(stat) => FileType::from_raw_mode(stat.st_mode),
                Err(Errno::NOENT) => return Ok(true),
                Err(e) => return Err(e.into()),
            };
        }
        Ok(see(&name.to_string_lossy(), kind == FileType::Directory))
    };
    #[cfg(target_os = "linux")]
    {
        let mut buffer = Vec::with_capacity(64 << 10);
        let mut dir = fs::RawDir::new(folder, buffer.spare_capacity_mut());
        while let Some(entry) = dir.next() {
            match entry {
                Err(Errno::INTR) => {}
                entry => {
                    let entry = entry?;
                    if !show(entry.file_name(), entry.file_type())? {
                        break;
                    }
                }
            }
        }
    }
    #[cfg(not(target_os = "linux"))]
    for entry in fs::Dir::read_from(folder)? {
        let entry = entry?;
        if !show(entry.file_name(), entry.file_type())? {
            break;
        }
    }
    Ok(())
}

/// The names in an open folder.
pub(super) fn names(folder: &OwnedFd) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    visit(folder, &mut |name, _| {
        names.push(name.to_owned());
        true
    })?;
    Ok(names)
}
