//! The runs of a blob while it is saved: which consecutive chunks stand side by side in one pack.

use crate::id::Id;

/// A pack that has a name, or one of this batch that gets its name when it is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PackRef {
    /// Number of the batch's own pack, see [`super::stage`].
    Own(u32),
    /// A committed pack.
    Known(Id),
}

/// Consecutive chunks in one pack.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Run {
    pub(crate) pack: PackRef,
    pub(crate) offset: u64,
    pub(crate) length: u64,
    pub(crate) first: u32,
    pub(crate) count: u32,
}

/// A locator holds at most this many; a blob in more pieces gets none.
pub(crate) const MOST: usize = 8;

/// Collects them chunk by chunk.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    runs: Vec<Run>,
    chunks: u32,
    scattered: bool,
}

impl Runs {
    /// The blob's next chunk stands here.
    pub(crate) fn push(&mut self, pack: PackRef, offset: u64, length: u64) {
        let first = self.chunks;
        self.chunks = first.saturating_add(1);
        if !self.extend(pack, offset, length, 1) {
            if self.runs.len() < MOST {
                self.runs.push(Run { pack, offset, length, first, count: 1 });
            } else {
                self.scattered = true;
            }
        }
    }

    /// A node of its recipe stands here; it belongs to the last run if it lies right behind it.
    pub(crate) fn push_node(&mut self, pack: PackRef, offset: u64, length: u64) {
        self.extend(pack, offset, length, 0);
    }

    fn extend(&mut self, pack: PackRef, offset: u64, length: u64, chunks: u32) -> bool {
        match self.runs.last_mut() {
            Some(last)
                if last.pack == pack && last.offset.checked_add(last.length) == Some(offset) && !self.scattered =>
            {
                last.length = last.length.saturating_add(length);
                last.count = last.count.saturating_add(chunks);
                true
            }
            _ => false,
        }
    }

    /// The runs, or nothing where there are too many.
    pub(crate) fn finish(self) -> Vec<Run> {
        if self.scattered { Vec::new() } else { self.runs }
    }
}
