//! What a batch has placed, in the order of the places: the newest rows in memory, older ones in a file without a name, so that the
//! memory of a batch does not grow with its frames but for some twenty bytes a frame.

use std::collections::{BinaryHeap, HashSet};
use std::io::{IoSlice, IoSliceMut};
use std::sync::Arc;

use super::internal;
use super::stage::Placed;
use crate::digest::Digest;
use crate::disk::{Disk, Staged};
use crate::error::At;
use crate::format::Entry;
use crate::format::entry::ENTRY;
use crate::id::Id;
use crate::index::by_digest::{ByDigest, ByWord};
use crate::{Error, Result};

/// Bytes that are read back at a time.
const READ: usize = 64 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    recent: Vec<Placed>,
    /// Rows before the recent ones, as entries whose pack is the number of the pack within the batch.
    older: Option<Scratch>,
    /// The row of a digest by its last eight bytes, and where two share those, the later one's.
    places: ByWord<u32>,
    twins: ByDigest<Digest, u32>,
    /// Older rows that the batch has saved as blobs since.
    roots: HashSet<u32>,
}

impl Ledger {
    /// Rows.
    pub(crate) fn len(&self) -> u32 {
        self.spilled().saturating_add(u32::try_from(self.recent.len()).unwrap_or(u32::MAX))
    }

    fn spilled(&self) -> u32 {
        self.older.as_ref().map_or(0, |older| older.rows)
    }

    /// The rows that are in memory.
    pub(crate) fn recent(&self) -> &[Placed] {
        &self.recent
    }

    /// The same, to move them. Nothing was written down yet when small frames move into the first pack.
    pub(crate) fn recent_mut(&mut self) -> &mut [Placed] {
        &mut self.recent
    }

    /// What stands under a digest.
    pub(crate) fn find(&self, digest: &Digest) -> Result<Option<Placed>> {
        let candidates = [self.places.get(&word(digest)), self.twins.get(digest)];
        for &at in candidates.into_iter().flatten() {
            let placed = self.row(at)?;
            if placed.digest == *digest {
                return Ok(Some(placed));
            }
        }
        Ok(None)
    }

    /// Remember that the batch saved what stands under a digest as a blob; what stands there.
    pub(crate) fn find_root(&mut self, digest: &Digest) -> Result<Option<Placed>> {
        let candidates = [self.places.get(&word(digest)).copied(), self.twins.get(digest).copied()];
        for at in candidates.into_iter().flatten() {
            let spilled = self.spilled();
            let recent = at.checked_sub(spilled).and_then(|at| self.recent.get_mut(usize::try_from(at).ok()?));
            if let Some(placed) = recent {
                if placed.digest == *digest {
                    placed.root = true;
                    return Ok(Some(*placed));
                }
            } else if self.row(at)?.digest == *digest {
                self.roots.insert(at);
                return self.row(at).map(Some);
            }
        }
        Ok(None)
    }

    fn row(&self, at: u32) -> Result<Placed> {
        match at.checked_sub(self.spilled()) {
            Some(at) => self.recent.get(usize::try_from(at).unwrap_or(usize::MAX)).copied().ok_or_else(internal),
            None => {
                let older = self.older.as_ref().ok_or_else(internal)?;
                Ok(placed(older.row(at)?, self.roots.contains(&at)))
            }
        }
    }

    /// Add a row. When more than `limit` are in memory they are written down, unless they may still move.
    pub(crate) fn push(&mut self, disk: &dyn Disk, new: Placed, limit: usize, settled: bool) -> Result<()> {
        let at = self.len();
        if at == u32::MAX {
            return Err(Error::invalid("too-large", "a batch has more than four thousand million chunks"));
        }
        if *self.places.entry(word(&new.digest)).or_insert(at) != at {
            self.twins.insert(new.digest, at);
        }
        self.recent.push(new);
        if settled && self.recent.len() >= limit {
            self.write_down(disk)?;
        }
        Ok(())
    }

    fn write_down(&mut self, disk: &dyn Disk) -> Result<()> {
        let older = match &mut self.older {
            Some(older) => older,
            None => self.older.insert(Scratch::new(disk)?),
        };
        let mut bytes = Vec::with_capacity(self.recent.len().saturating_mul(ENTRY));
        self.recent.iter().try_for_each(|row| numbered(row).encode(&mut bytes))?;
        older.push(&bytes)?;
        self.recent.clear();
        Ok(())
    }

    /// Show the rows `from..to` in order.
    pub(crate) fn each(&self, from: u32, to: u32, see: &mut dyn FnMut(&Placed) -> Result<()>) -> Result<()> {
        let spilled = self.spilled();
        if let Some(older) = &self.older {
            for block in &older.blocks {
                if block.first >= to || block.first.saturating_add(block.rows) <= from {
                    continue;
                }
                let mut rows = Rows::new(Arc::clone(&older.file), *block);
                let mut at = block.first;
                while let Some(entry) = rows.next()? {
                    if (from..to).contains(&at) {
                        see(&placed(entry, self.roots.contains(&at)))?;
                    }
                    at = at.saturating_add(1);
                }
            }
        }
        for (at, placed) in (spilled..).zip(&self.recent) {
            if (from..to).contains(&at) {
                see(placed)?;
            }
        }
        Ok(())
    }

    /// All rows as entries in ascending order: in `entries` where they fit into memory, else as runs for [`merge`].
    pub(crate) fn sorted(
        &self,
        disk: &dyn Disk,
        entry: &dyn Fn(&Placed) -> Result<Entry>,
        limit: usize,
    ) -> Result<(Vec<Entry>, Option<Scratch>)> {
        let mut some: Vec<Entry> = Vec::new();
        if self.older.is_none() {
            some = self.recent.iter().map(entry).collect::<Result<_>>()?;
            return Ok((some, None));
        }
        let mut runs = Scratch::new(disk)?;
        let mut write = |some: &mut Vec<Entry>| {
            some.sort_unstable_by_key(|entry| (entry.digest, entry.pack, entry.offset));
            let mut bytes = Vec::with_capacity(some.len().saturating_mul(ENTRY));
            some.iter().try_for_each(|entry| entry.encode(&mut bytes))?;
            some.clear();
            runs.push(&bytes)
        };
        self.each(0, self.len(), &mut |placed| {
            some.push(entry(placed)?);
            if some.len() >= limit { write(&mut some) } else { Ok(()) }
        })?;
        if !some.is_empty() {
            write(&mut some)?;
        }
        Ok((some, Some(runs)))
    }
}

fn word(digest: &Digest) -> u64 {
    digest.as_bytes().last_chunk().map_or(0, |word| u64::from_le_bytes(*word))
}

/// A row as it is written down.
fn numbered(row: &Placed) -> Entry {
    let mut pack = Id([0; 16]);
    pack.0.iter_mut().zip(row.pack.to_le_bytes()).for_each(|(to, from)| *to = from);
    super::seal::entry(row, pack, row.offset, 0)
}

fn placed(entry: Entry, root: bool) -> Placed {
    Placed {
        digest: entry.digest,
        pack: entry.pack.0.first_chunk().map_or(0, |number| u32::from_le_bytes(*number)),
        offset: entry.offset,
        stored: entry.stored,
        raw: entry.raw,
        kind: entry.kind,
        root: entry.root || root,
    }
}

/// Rows of entries in a file without a name, in blocks, each with its checksum.
#[derive(Debug)]
pub(crate) struct Scratch {
    file: Arc<dyn Staged>,
    blocks: Vec<Block>,
    rows: u32,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    first: u32,
    rows: u32,
    sum: u32,
}

impl Scratch {
    fn new(disk: &dyn Disk) -> Result<Self> {
        let file = disk.scratch().at("stage what a batch notes in", "tmp")?;
        Ok(Self { file: Arc::from(file), blocks: Vec::new(), rows: 0 })
    }

    /// How many rows it has.
    pub(crate) fn rows(&self) -> u32 {
        self.rows
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        let rows = u32::try_from(bytes.len() / ENTRY).map_err(|_| internal())?;
        self.file.write_at(&[IoSlice::new(bytes)], offset_of(self.rows)).at("write", "what a batch notes")?;
        self.blocks.push(Block { first: self.rows, rows, sum: crc32c::crc32c(bytes) });
        self.rows = self.rows.checked_add(rows).ok_or_else(internal)?;
        Ok(())
    }

    fn row(&self, at: u32) -> Result<Entry> {
        let mut bytes = [0; ENTRY];
        read(self.file.as_ref(), &mut bytes, offset_of(at))?;
        Entry::decode(&bytes)
    }
}

fn offset_of(row: u32) -> u64 {
    u64::from(row).saturating_mul(ENTRY as u64)
}

fn read(file: &dyn Staged, bytes: &mut [u8], offset: u64) -> Result<()> {
    let wanted = bytes.len();
    let got = file.read_at(&mut [IoSliceMut::new(bytes)], offset).at("read", "what a batch notes")?;
    if got == wanted { Ok(()) } else { Err(lost()) }
}

fn lost() -> Error {
    Error::corrupt("scratch", "commit a batch: what it noted in a temporary file came back changed")
}

/// The rows of one block, read piece by piece; the checksum is held against the block behind its last row.
struct Rows {
    file: Arc<dyn Staged>,
    block: Block,
    at: u32,
    sum: u32,
    piece: std::vec::IntoIter<Entry>,
}

impl Rows {
    fn new(file: Arc<dyn Staged>, block: Block) -> Self {
        Self { file, block, at: 0, sum: 0, piece: Vec::new().into_iter() }
    }

    fn next(&mut self) -> Result<Option<Entry>> {
        if let Some(entry) = self.piece.next() {
            return Ok(Some(entry));
        }
        let left = self.block.rows.saturating_sub(self.at);
        if left == 0 {
            return if self.sum == self.block.sum { Ok(None) } else { Err(lost()) };
        }
        let rows = left.min(u32::try_from(READ / ENTRY).map_err(|_| internal())?);
        let mut bytes = vec![0; usize::try_from(offset_of(rows)).map_err(|_| internal())?];
        read(self.file.as_ref(), &mut bytes, offset_of(self.block.first.saturating_add(self.at)))?;
        self.sum = crc32c::crc32c_append(self.sum, &bytes);
        self.at = self.at.saturating_add(rows);
        let entries: Vec<Entry> = bytes.as_chunks::<ENTRY>().0.iter().map(Entry::decode).collect::<Result<_>>()?;
        self.piece = entries.into_iter();
        Ok(self.piece.next())
    }
}

/// Show sorted entries and those of sorted runs in ascending order of digest, pack, offset.
pub(crate) fn merge(entries: &[Entry], runs: &[Scratch], see: &mut dyn FnMut(&Entry) -> Result<()>) -> Result<()> {
    let mut readers: Vec<Rows> = Vec::new();
    for run in runs {
        readers.extend(run.blocks.iter().map(|block| Rows::new(Arc::clone(&run.file), *block)));
    }
    let mut heads: BinaryHeap<std::cmp::Reverse<(Entry, usize)>> = BinaryHeap::new();
    for (at, reader) in readers.iter_mut().enumerate() {
        if let Some(entry) = reader.next()? {
            heads.push(std::cmp::Reverse((entry, at)));
        }
    }
    let mut entries = entries.iter().peekable();
    while let Some(std::cmp::Reverse((entry, at))) = heads.pop() {
        while let Some(first) = entries.next_if(|first| **first < entry) {
            see(first)?;
        }
        see(&entry)?;
        if let Some(next) = readers.get_mut(at).ok_or_else(internal)?.next()? {
            heads.push(std::cmp::Reverse((next, at)));
        }
    }
    entries.try_for_each(see)
}
