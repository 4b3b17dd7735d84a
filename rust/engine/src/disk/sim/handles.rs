//! Open files, unpublished files and held locks of a simulated process.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::Arc;

use rustix::io::Errno;

use super::bytes::Inode;
use super::fault::{Bug, Op};
use super::folder::Node;
use super::{Process, SimDisk};
use crate::disk::{File, Lock, Parked, Staged};

/// A file open for reading.
#[derive(Debug)]
pub(super) struct SimFile {
    disk: SimDisk,
    path: String,
    inode: Arc<Inode>,
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, path: &str, inode: Arc<Inode>) -> Self {
        Self { disk, path: path.to_owned(), inode }
    }
}

impl File for SimFile {
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.disk.act(Op::Read, &self.path, || self.inode.read_at(buffers, offset))
    }

    fn len(&self) -> io::Result<u64> {
        self.disk.act(Op::Length, &self.path, || Ok(self.inode.len()))
    }

    fn sync(&self) -> io::Result<()> {
        let turn = self.disk.turn(Op::Sync, &self.path)?.outlived()?;
        if let Err(e) = turn.refuse() {
            self.inode.forget(&mut turn.random());
            return Err(e);
        }
        if !self.disk.has(Bug::SyncIgnored) {
            self.inode.sync();
        }
        turn.finish(())
    }
}

/// A file without a name yet.
#[derive(Debug)]
pub(super) struct SimStaged {
    disk: SimDisk,
    inode: Arc<Inode>,
    failed: bool,
}

impl SimStaged {
    pub(super) fn new(disk: SimDisk, inode: Arc<Inode>) -> Self {
        Self { disk, inode, failed: false }
    }

    pub(super) fn fill(&self, bytes: &[u8]) -> io::Result<()> {
        self.inode.write_at(&[IoSlice::new(bytes)], 0, usize::MAX, self.disk.now_ms())
    }

    fn name(&self, path: &str, replace: bool) -> io::Result<()> {
        self.disk.set_name(path, |old| match old {
            Some(Node::Folder(_)) if replace => Err(Errno::ISDIR.into()),
            Some(_) if !replace => Err(Errno::EXIST.into()),
            _ => Ok(Some(Node::File(Arc::clone(&self.inode)))),
        })
    }
}

impl Staged for SimStaged {
    fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
        let turn = self.disk.turn(Op::Write, "")?;
        let now = self.disk.now_ms();
        if turn.is_short() {
            let half = buffers.iter().map(|b| b.len()).fold(0_usize, usize::saturating_add) / 2;
            self.inode.write_at(buffers, offset, half, now)?;
        }
        turn.refuse()?;
        self.inode.write_at(buffers, offset, usize::MAX, now)?;
        turn.finish(())
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        self.disk.act(Op::Read, "", || self.inode.read_at(buffers, offset))
    }

    fn start_writeback(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let turn = self.disk.turn(Op::Sync, "")?.outlived()?;
        if self.failed {
            return Err(Errno::IO.into());
        }
        if let Err(e) = turn.refuse() {
            self.failed = true;
            self.inode.forget(&mut turn.random());
            return Err(e);
        }
        if !self.disk.has(Bug::SyncIgnored) {
            self.inode.sync();
        }
        turn.finish(()).inspect_err(|_| self.failed = true)
    }

    fn modified_ms(&self) -> io::Result<i64> {
        self.disk.act(Op::Length, "", || Ok(self.inode.modified_ms()))
    }

    fn publish(&mut self, path: &str) -> io::Result<()> {
        self.disk.act(Op::Publish, path, || self.name(path, false))
    }

    fn replace(&mut self, path: &str) -> io::Result<()> {
        self.disk.act(Op::Replace, path, || self.name(path, true))
    }
}

impl Parked for SimStaged {
    fn replace(&mut self, path: &str) -> io::Result<()> {
        Staged::replace(self, path)
    }
}

/// A held lock.
#[derive(Debug)]
pub(super) struct SimLock {
    inode: Arc<Inode>,
    process: Arc<Process>,
}

impl SimLock {
    pub(super) fn new(inode: Arc<Inode>, process: Arc<Process>) -> Self {
        Self { inode, process }
    }
}

impl Lock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.inode.unlock(&self.process);
    }
}
