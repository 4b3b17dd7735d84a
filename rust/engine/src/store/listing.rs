//! All blobs of a store in the order of their keys, a page at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::Store;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::index::segment::Segment;
use crate::{Kind, Result};

/// A key and its blob's size.
pub type Listed = (Digest, u64);

/// One sorted run of keys in a segment, a block at a time.
struct Run {
    segment: Arc<Segment>,
    large: bool,
    next_block: u64,
    rows: std::vec::IntoIter<Listed>,
}

impl Store {
    /// The blobs whose keys come after `after`, in order, at most `limit`; fewer only at the end. A blob that was a chunk of a larger one
    /// before it was saved itself is not listed: nothing in the index tells it from other chunks.
    ///
    /// # Errors
    /// `Corrupt` when a part of the index cannot be read: a list that lacks something is none; `Cancelled`; the disk's errors.
    pub fn keys(&self, after: Option<&Digest>, limit: usize, cancel: &Cancel) -> Result<Vec<Listed>> {
        let snapshot = if after.is_none() { self.inner.levels.refresh()? } else { self.inner.levels.snapshot()? };
        if let Some((_, error)) = snapshot.broken.first() {
            return Err(error.clone().recast(Kind::Corrupt, "index", "list keys: a part of the index cannot be read"));
        }
        let mut runs = Vec::new();
        let mut heap = BinaryHeap::new();
        for segment in &snapshot.segments {
            for large in [false, true] {
                cancel.check()?;
                let mut run = Run { segment: Arc::clone(segment), large, next_block: 0, rows: Vec::new().into_iter() };
                run.seek(after)?;
                if let Some(listed) = run.next()? {
                    heap.push(Reverse((listed, runs.len())));
                }
                runs.push(run);
            }
        }
        let mut page: Vec<Listed> = Vec::new();
        while let Some(Reverse((listed, at))) = heap.pop() {
            if let Some(run) = runs.get_mut(at)
                && let Some(next) = run.next()?
            {
                heap.push(Reverse((next, at)));
            }
            if page.last().is_none_or(|(last, _)| *last != listed.0) {
                if page.len() >= limit {
                    break;
                }
                page.push(listed);
            }
        }
        Ok(page)
    }
}

impl Run {
    fn blocks(&self) -> u64 {
        let layout = self.segment.layout();
        if self.large { layout.blobs.blocks() } else { layout.chunks.blocks() }
    }

    /// The keys of blobs in a block, and the last key of any row in it.
    fn block(&self, at: u64) -> Result<(Vec<Listed>, Option<Digest>)> {
        if self.large {
            let rows = self.segment.blobs_of(at)?;
            let last = rows.last().map(|row| row.key);
            return Ok((rows.into_iter().map(|row| (row.key, row.size)).collect(), last));
        }
        let rows = self.segment.entries_of(at)?;
        let last = rows.last().map(|row| row.digest);
        Ok((rows.into_iter().filter(|row| row.root).map(|row| (row.digest, u64::from(row.raw))).collect(), last))
    }

    /// Go behind a key: to the first block that holds a later one.
    fn seek(&mut self, after: Option<&Digest>) -> Result<()> {
        let Some(after) = after else { return Ok(()) };
        let (mut low, mut high) = (0, self.blocks());
        while low < high {
            let middle = low.midpoint(high);
            let (_, last) = self.block(middle)?;
            if last.is_some_and(|last| last > *after) {
                high = middle;
            } else {
                low = middle.saturating_add(1);
            }
        }
        if low < self.blocks() {
            let (mut rows, _) = self.block(low)?;
            rows.retain(|(key, _)| key > after);
            self.rows = rows.into_iter();
        }
        self.next_block = low.saturating_add(1);
        Ok(())
    }

    fn next(&mut self) -> Result<Option<Listed>> {
        loop {
            if let Some(listed) = self.rows.next() {
                return Ok(Some(listed));
            }
            if self.next_block >= self.blocks() {
                return Ok(None);
            }
            self.rows = self.block(self.next_block)?.0.into_iter();
            self.next_block = self.next_block.saturating_add(1);
        }
    }
}
