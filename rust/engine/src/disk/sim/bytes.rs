//! A file's bytes: what readers see, and what a crash leaves of it.

use std::io::{self, IoSlice, IoSliceMut};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use rustix::io::Errno;

use super::random::Random;
use super::{Process, lock};

/// What is torn apart or kept together.
pub(super) const BLOCK: usize = 4096;

type Bytes = Arc<[u8; BLOCK]>;

/// A file, under however many names.
#[derive(Debug)]
pub(super) struct Inode {
    data: RwLock<Data>,
    holder: Mutex<Option<Arc<Process>>>,
}

#[derive(Debug, Default)]
struct Data {
    blocks: Vec<Block>,
    len: u64,
    durable_len: u64,
    dirty: bool,
    modified_ms: i64,
}

#[derive(Clone, Debug)]
struct Block {
    cached: Bytes,
    durable: Option<Bytes>,
    /// A sync will write it. Cleared by a failed sync too: that is what kernels do.
    dirty: bool,
}

impl Block {
    fn zero() -> Self {
        Self { cached: Arc::new([0; BLOCK]), durable: None, dirty: true }
    }
}

/// Copy as many bytes as both have.
fn copy(from: &[u8], to: &mut [u8]) {
    let count = from.len().min(to.len());
    if let (Some(from), Some(to)) = (from.get(..count), to.get_mut(..count)) {
        to.copy_from_slice(from);
    }
}

impl Inode {
    pub(super) fn new(now_ms: i64) -> Self {
        Self { data: RwLock::new(Data { modified_ms: now_ms, ..Data::default() }), holder: Mutex::new(None) }
    }

    fn read(&self) -> RwLockReadGuard<'_, Data> {
        self.data.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Data> {
        self.data.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn len(&self) -> u64 {
        self.read().len
    }

    pub(super) fn modified_ms(&self) -> i64 {
        self.read().modified_ms
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.read().dirty
    }

    pub(super) fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        let data = self.read();
        let len = usize::try_from(data.len).map_err(|_| Errno::OVERFLOW)?;
        let start = usize::try_from(offset).map_err(|_| Errno::OVERFLOW)?;
        let mut at = start;
        for buffer in buffers {
            let mut rest: &mut [u8] = buffer;
            while !rest.is_empty() && at < len {
                let Some(source) = data.blocks.get(at / BLOCK).and_then(|b| b.cached.get(at % BLOCK..)) else { break };
                let count = rest.len().min(source.len()).min(len.saturating_sub(at));
                let (now, later) = std::mem::take(&mut rest).split_at_mut(count);
                copy(source, now);
                rest = later;
                at = at.saturating_add(count);
            }
        }
        Ok(at.saturating_sub(start))
    }

    /// Write at most `limit` bytes of `buffers`.
    pub(super) fn write_at(&self, buffers: &[IoSlice<'_>], offset: u64, limit: usize, now_ms: i64) -> io::Result<()> {
        let mut data = self.write();
        let mut at = usize::try_from(offset).map_err(|_| Errno::FBIG)?;
        let mut left = limit;
        for buffer in buffers {
            let mut rest: &[u8] = buffer.get(..buffer.len().min(left)).unwrap_or_default();
            left = left.saturating_sub(rest.len());
            let end = at.checked_add(rest.len()).ok_or(Errno::FBIG)?;
            if data.blocks.len() < end.div_ceil(BLOCK) {
                data.blocks.resize_with(end.div_ceil(BLOCK), Block::zero);
            }
            while !rest.is_empty() {
                let Some(block) = data.blocks.get_mut(at / BLOCK) else { return Err(Errno::FBIG.into()) };
                block.dirty = true;
                let Some(target) = Arc::make_mut(&mut block.cached).get_mut(at % BLOCK..) else { break };
                let (now, later) = rest.split_at(rest.len().min(target.len()));
                copy(now, target);
                rest = later;
                at = at.saturating_add(now.len());
            }
        }
        data.len = data.len.max(u64::try_from(at).map_err(|_| Errno::FBIG)?);
        data.dirty = true;
        data.modified_ms = now_ms;
        Ok(())
    }

    /// Everything in the cache becomes durable, except what an earlier failed sync has made the kernel forget.
    pub(super) fn sync(&self) {
        let mut data = self.write();
        if std::mem::take(&mut data.dirty) {
            data.durable_len = data.len;
            for block in data.blocks.iter_mut().filter(|block| block.dirty) {
                block.durable = Some(Arc::clone(&block.cached));
                block.dirty = false;
            }
        }
    }

    /// A sync that fails: some blocks were written, the others count as written.
    pub(super) fn forget(&self, random: &mut Random) {
        let mut data = self.write();
        data.dirty = false;
        for block in data.blocks.iter_mut().filter(|block| block.dirty) {
            block.dirty = false;
            if random.chance(4) {
                block.durable = Some(Arc::clone(&block.cached));
            }
        }
    }

    /// The file that is found after a crash; each unsynced block is there `luck` times of eight.
    pub(super) fn after_crash(&self, random: &mut Random, luck: u64) -> Self {
        let data = self.read();
        let (low, high) = (data.len.min(data.durable_len), data.len.max(data.durable_len));
        let len = match random.below(3) {
            0 => data.durable_len,
            1 => data.len,
            _ => low.saturating_add(random.below(high.saturating_sub(low).saturating_add(1))),
        };
        let count = usize::try_from(len).unwrap_or(usize::MAX).div_ceil(BLOCK);
        let blocks = data.blocks.iter().take(count).map(|block| {
            let kept = block.dirty && random.chance(luck);
            let bytes = if kept { Some(&block.cached) } else { block.durable.as_ref() };
            let bytes = bytes.map_or_else(|| Arc::new([0; BLOCK]), Arc::clone);
            Block { cached: Arc::clone(&bytes), durable: Some(bytes), dirty: false }
        });
        let modified_ms = data.modified_ms;
        let data = Data { blocks: blocks.collect(), len, durable_len: len, dirty: false, modified_ms };
        Self { data: RwLock::new(data), holder: Mutex::new(None) }
    }

    /// Change the bytes wherever they are.
    pub(super) fn damage(&self, change: impl FnOnce(&mut Vec<u8>)) {
        let mut data = self.write();
        let mut bytes: Vec<u8> = data.blocks.iter().flat_map(|block| block.cached.iter().copied()).collect();
        bytes.truncate(usize::try_from(data.len).unwrap_or(usize::MAX));
        change(&mut bytes);
        data.len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        data.durable_len = data.len;
        data.blocks.clear();
        for part in bytes.chunks(BLOCK) {
            let mut block = [0; BLOCK];
            copy(part, &mut block);
            let bytes = Arc::new(block);
            data.blocks.push(Block { cached: Arc::clone(&bytes), durable: Some(bytes), dirty: false });
        }
    }

    /// Take the lock, unless a living process has it.
    pub(super) fn try_lock(&self, process: &Arc<Process>) -> bool {
        let mut holder = lock(&self.holder);
        if holder.as_ref().is_some_and(|held| held.alive.load(Ordering::Acquire)) {
            return false;
        }
        *holder = Some(Arc::clone(process));
        true
    }

    /// Give the lock back. A killed process's is nobody's, or another's, already.
    pub(super) fn unlock(&self, process: &Arc<Process>) {
        let mut holder = lock(&self.holder);
        if holder.as_ref().is_some_and(|held| Arc::ptr_eq(held, process)) {
            *holder = None;
        }
    }
}
