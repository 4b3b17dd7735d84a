//! The one trait that touches the store's files: a real folder, or a simulated disk that can lose power.
//!
//! Paths are relative to the store's root, `/`-separated, made by the engine alone: never a user's bytes.
//! What is durable when: `Staged::sync` makes a file's bytes durable, `Disk::sync_dir` the names in one folder,
//! `Disk::sync_all` everything of the file system. Nothing else does.

#![allow(clippy::missing_errors_doc, reason = "every method fails as its system call does")]

mod bucket;
mod cache;
mod path;
mod real;
mod sim;

use std::fmt::Debug;
use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

pub use self::bucket::{BucketDisk, Objects, Room, Upload};
pub use self::cache::{BlockCache, Tell};
pub use self::real::{FileSystem, RealDisk};
pub use self::sim::{Bug, Failure, Fault, Op, Record, SimDisk};

/// One name in a folder.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Entry {
    /// The name, without its folder.
    pub name: String,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Meta {
    /// Length in bytes.
    pub len: u64,
    /// Last change, by the disk's own clock, in milliseconds since 1970.
    pub modified_ms: i64,
    /// Whether it is a folder.
    pub is_dir: bool,
}

/// How reads are put together.
#[derive(Clone, Copy, Debug)]
pub struct Reach {
    /// About so many bytes at a time.
    pub bytes: u64,
    /// Bytes between two wanted places that are read and thrown away rather than skipped.
    pub gap: u64,
    /// A segment of no more than this, its small pack left out, is read whole when it is opened.
    pub whole: u64,
    /// Frames that one read may ask for.
    pub frames: usize,
    /// Whether every call is a request to somewhere else. There nothing is looked at twice that one answer has told: what is listed
    /// is there under its name, and what was acknowledged is. `read_many` costs less than as many reads.
    pub far: bool,
}

/// Bytes of a file.
#[derive(Debug)]
pub struct Wanted {
    /// The file.
    pub path: String,
    /// Where they begin.
    pub offset: u64,
    /// How many.
    pub len: usize,
}

/// A store's folder. Every method opens what it needs relative to the root, and follows no symbolic link.
pub trait Disk: Send + Sync + Debug {
    /// What to call this disk in messages, a path as a rule.
    fn describe(&self) -> String;
    /// Make a folder (its parent exists); `false` when it was there.
    fn create_dir(&self, path: &str) -> io::Result<bool>;
    /// Show each name in a folder to `see` (the name, whether it is a folder), in no order, until it answers `false`.
    /// A missing folder is `NotFound`. What comes and goes meanwhile may be seen or not.
    fn visit(&self, dir: &str, see: &mut dyn FnMut(&str, bool) -> bool) -> io::Result<()>;
    /// The names in a folder, in no order. A missing folder is `NotFound`.
    fn list(&self, dir: &str) -> io::Result<Vec<Entry>> {
        let mut entries = Vec::new();
        self.visit(dir, &mut |name, is_dir| {
            entries.push(Entry { name: name.to_owned(), is_dir });
            true
        })?;
        Ok(entries)
    }
    /// The names in folders, one folder after the other: what moves from an earlier to a later one meanwhile is seen.
    fn list_in_order(&self, dirs: &[String]) -> io::Result<Vec<Vec<Entry>>> {
        dirs.iter().map(|dir| self.list(dir)).collect()
    }
    /// The files whose paths begin with a prefix and their lengths, at most so many, where that is one request and not one for each;
    /// `None` elsewhere.
    fn lengths(&self, prefix: &str, limit: usize) -> io::Result<Option<Vec<(String, u64)>>> {
        let _ = (prefix, limit);
        Ok(None)
    }
    /// The disk's own clock, which its files are dated by, in milliseconds since 1970: the system's, in a folder.
    fn now_ms(&self) -> i64 {
        system_ms()
    }
    /// Who answers for its locks, links and syncs: a folder on a network is not written to unless that is asked for.
    fn file_system(&self) -> io::Result<FileSystem> {
        Ok(FileSystem::Local)
    }
    /// What one read may ask for.
    fn reach(&self) -> Reach {
        // Three pieces for each frame at most: IOV_MAX is 1024.
        Reach { bytes: 1024 * 1024, gap: 16 * 1024, whole: 16 * 1024, frames: 320, far: false }
    }
    /// Where blocks of segments are kept once they were read, if reading them is dear.
    fn cache(&self) -> Option<Arc<BlockCache>> {
        None
    }
    /// What stands under a path; `None` when nothing does.
    fn stat(&self, path: &str) -> io::Result<Option<Meta>>;
    /// Read bytes of several files, each as if by itself; `UnexpectedEof` where a file ends before.
    fn read_many(&self, wanted: &[Wanted]) -> io::Result<Vec<io::Result<Bytes>>> {
        let _ = wanted;
        Err(io::ErrorKind::Unsupported.into())
    }
    /// Open a regular file for reading; `None` when there is none.
    fn open(&self, path: &str) -> io::Result<Option<Arc<dyn File>>>;
    /// The same for a file that the index names, of that length if it is known: that it is gone may be told by the first read only.
    fn open_named(&self, path: &str, len: Option<u64>) -> io::Result<Option<Arc<dyn File>>> {
        let _ = len;
        self.open(path)
    }
    /// A new file without a name. It vanishes when dropped, or with the process, unless published.
    fn stage(&self) -> io::Result<Box<dyn Staged>>;
    /// The same for a file whose name is decided: what is written of it may leave before it is whole.
    fn stage_for(&self, path: &str) -> io::Result<Box<dyn Staged>> {
        let _ = path;
        self.stage()
    }
    /// A new file that never gets a name: what does not fit into memory for a while.
    fn scratch(&self) -> io::Result<Box<dyn Staged>> {
        self.stage()
    }
    /// Whether what was written of a staged file can be read back.
    fn reads_back(&self) -> bool {
        true
    }
    /// A new small file with these bytes, which holds no descriptor: a batch may have thousands of them.
    /// Only `sync_all` makes it durable.
    fn park(&self, bytes: &[u8]) -> io::Result<Box<dyn Parked>>;
    /// Remove a file; `false` when it was gone.
    fn remove(&self, path: &str) -> io::Result<bool>;
    /// Make the names in a folder durable. After a failure never call it again for the same change: the kernel forgets.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;
    /// Make everything that was written to this file system durable (`syncfs`).
    fn sync_all(&self) -> io::Result<()>;
    /// Take the kernel lock on a file (made if `create`), without waiting; `None` when another holds it (or the file is missing and not to be made).
    /// It ends when dropped and when its process dies.
    fn try_lock(&self, path: &str, create: bool) -> io::Result<Option<Box<dyn Lock>>>;
}

fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}

/// Bytes that were read, wherever they are held.
pub type Bytes = Box<dyn AsRef<[u8]> + Send + Sync>;

/// A file that can be read at any place by many threads.
pub trait File: Send + Sync + Debug {
    /// Read into `buffers` one after the other from `offset`; returns the bytes read, fewer at the file's end only.
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;
    /// Read so many bytes from `offset`, fewer at the file's end only, into memory of the disk's own choice: a copy less, where they
    /// come from somewhere else.
    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut bytes = vec![0; len];
        let count = self.read_at(&mut [IoSliceMut::new(&mut bytes)], offset)?;
        bytes.truncate(count);
        Ok(Box::new(bytes))
    }
    /// The length now.
    fn len(&self) -> io::Result<u64>;
    /// Make the bytes durable that whoever wrote them may have left in memory.
    fn sync(&self) -> io::Result<()>;
    /// What tells this state of the file from every other, on a disk that can compare and swap; `None` elsewhere: a lock does it there.
    fn version(&self) -> Option<&str> {
        None
    }
    /// Whether the length is 0 now.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// A file that nobody else can see yet.
pub trait Staged: Send + Sync + Debug {
    /// Write all of `buffers`, one after the other, from `offset`; several threads may write to places of their own.
    /// A short write goes on; an error leaves the file unusable.
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()>;
    /// Read back what was written.
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize>;
    /// Ask the system to begin writing these bytes out; promises nothing. Where files leave in parts: send those that are full,
    /// after which whoever wrote more meanwhile waits.
    fn start_writeback(&self, offset: u64, len: u64) -> io::Result<()>;
    /// Make the bytes durable. At most one try: after a failure the file must be given up.
    fn sync(&mut self) -> io::Result<()>;
    /// The disk's own clock at the last write, in milliseconds since 1970.
    fn modified_ms(&self) -> io::Result<i64>;
    /// Give it a name that nothing has (`AlreadyExists` otherwise). Visible at once, durable after `sync_dir`.
    fn publish(&mut self, path: &str) -> io::Result<()>;
    /// Give it a name, replacing what stood there atomically. Visible at once, durable after `sync_dir`.
    fn replace(&mut self, path: &str) -> io::Result<()>;
    /// The same if what stands there is still what had that version (nothing, where there is none); `AlreadyExists` otherwise. Where
    /// a lock is held instead it is the same without a condition.
    fn swap(&mut self, path: &str, version: Option<&str>) -> io::Result<()> {
        let _ = version;
        self.replace(path)
    }
}

/// A written file that waits for its name. It vanishes when dropped, or with the process, unless it got one.
pub trait Parked: Send + Sync + Debug {
    /// Give it a name, replacing what stood there atomically. Visible at once, durable after `sync_dir`.
    fn replace(&mut self, path: &str) -> io::Result<()>;
    /// As for a staged file.
    fn swap(&mut self, path: &str, version: Option<&str>) -> io::Result<()> {
        let _ = version;
        self.replace(path)
    }
}

/// A held kernel lock; dropping it releases it.
pub trait Lock: Send + Sync + Debug {}
