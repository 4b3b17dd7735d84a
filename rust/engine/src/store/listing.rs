//! All blobs of a store in the order of their keys, a page at a time.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Mutex};

use super::pipeline::lock;
use super::{Inner, Store};
use crate::Result;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::format::FrameKind;
use crate::index::levels::Snapshot;
use crate::index::segment::Segment;

/// A key and its blob's size.
pub type Listed = (Digest, u64);

/// What [`Inner::adopted`] found last, and in which state of the index.
pub(crate) type Adopted = Mutex<Option<(u64, Arc<Vec<Listed>>)>>;

/// One sorted run of keys in a segment, a block at a time; without a segment, one of keys that were found otherwise.
struct Run {
    segment: Option<Arc<Segment>>,
    large: bool,
    next_block: u64,
    rows: std::vec::IntoIter<Listed>,
}

impl Store {
    /// The blobs whose keys come after `after`, in order, at most `limit`; fewer only at the end.
    ///
    /// # Errors
    /// `Corrupt` when a part of the index cannot be read: a list that lacks something is none; `Cancelled`; the disk's errors.
    pub fn keys(&self, after: Option<&Digest>, limit: usize, cancel: &Cancel) -> Result<Vec<Listed>> {
        let snapshot = if after.is_none() { self.inner.levels.refresh()? } else { self.inner.levels.snapshot()? };
        if let Some((_, error)) = snapshot.broken.first() {
            return Err(error.clone().of_index("list keys"));
        }
        let adopted = self.inner.adopted(&snapshot, cancel)?;
        let from = after.map_or(0, |after| adopted.partition_point(|(key, _)| key <= after));
        let some: Vec<Listed> = adopted.iter().skip(from).take(limit).copied().collect();
        let mut runs = vec![Run { segment: None, large: false, next_block: 0, rows: some.into_iter() }];
        for segment in &snapshot.segments {
            for large in [false, true] {
                cancel.check()?;
                let segment = Some(Arc::clone(segment));
                let mut run = Run { segment, large, next_block: 0, rows: Vec::new().into_iter() };
                run.seek(after)?;
                runs.push(run);
            }
        }
        let mut heap = BinaryHeap::new();
        for (at, run) in runs.iter_mut().enumerate() {
            if let Some(listed) = run.next()? {
                heap.push(Reverse((listed, at)));
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

impl Inner {
    /// The blobs that were chunks of larger ones before they were saved themselves, in order: no entry says of them that they are blobs,
    /// but the batch that saved them leans on them. What only a batch without a record leaned on, one past the retention and not
    /// pinned, is not found.
    pub(crate) fn adopted(&self, snapshot: &Snapshot, cancel: &Cancel) -> Result<Arc<Vec<Listed>>> {
        if let Some((_, found)) = lock(&self.adopted).as_ref().filter(|(at, _)| *at == snapshot.generation) {
            return Ok(Arc::clone(found));
        }
        let mut found = Vec::new();
        for segment in &snapshot.segments {
            let mut see = |key: &Digest| {
                cancel.check()?;
                found.extend(adopted_chunk(snapshot, key)?);
                Ok(())
            };
            for record in segment.records()? {
                record.leaned.iter().try_for_each(&mut see)?;
            }
            segment.each_pin(&mut |pin| see(&pin.key))?;
        }
        found.sort_unstable();
        found.dedup();
        let found = Arc::new(found);
        *lock(&self.adopted) = Some((snapshot.generation, Arc::clone(&found)));
        Ok(found)
    }
}

/// A key that only chunks have which nobody saved as blobs.
fn adopted_chunk(snapshot: &Snapshot, key: &Digest) -> Result<Option<Listed>> {
    let mut chunk = None;
    let damage = snapshot.chunks(key, FrameKind::Chunk, &mut |entry, _| {
        chunk = (!entry.root).then_some((*key, u64::from(entry.raw)));
        Ok(entry.root)
    })?;
    match damage {
        Some(error) => Err(error),
        None => Ok(chunk),
    }
}

impl Run {
    fn blocks(&self) -> u64 {
        let Some(segment) = &self.segment else { return 0 };
        let layout = segment.layout();
        if self.large { layout.blobs.blocks() } else { layout.chunks.blocks() }
    }

    /// The keys of blobs in a block, and the last key of any row in it.
    fn block(&self, at: u64) -> Result<(Vec<Listed>, Option<Digest>)> {
        let Some(segment) = &self.segment else { return Ok(Default::default()) };
        if self.large {
            let rows = segment.blobs_of(at)?;
            let last = rows.last().map(|row| row.key);
            return Ok((rows.into_iter().map(|row| (row.key, row.size)).collect(), last));
        }
        let rows = segment.entries_of(at)?;
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
