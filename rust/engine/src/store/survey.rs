//! What a store holds, summed over its index: counts, bytes, what deduplication and compression did, and where they did not.
//!
//! Segments are sorted, so they are merged while they are read: memory is one block per segment, whatever the store holds.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use super::Store;
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::error::At;
use crate::format::{Entry, FrameKind, PackRow};
use crate::index::segment::Segment;
use crate::{Error, Kind, Result};

/// Chunk sizes are counted by powers of two: bucket 0 is empty chunks, bucket n those of 2^(n-1) to 2^n - 1 bytes.
pub const BUCKETS: usize = 26;

/// Sums over a store's index. Each blob and each chunk counts once, however often it was saved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Survey {
    /// Segments of the index.
    pub segments: u64,
    /// Bytes of their files, small packs at their heads left out.
    pub index_bytes: u64,
    /// Packs, small ones at the heads of segments included.
    pub packs: u64,
    /// Their bytes.
    pub pack_bytes: u64,
    /// Blobs that were saved as such.
    pub blobs: u64,
    /// Their bytes.
    pub blob_bytes: u64,
    /// Of these blobs, those of more than one chunk.
    pub large_blobs: u64,
    /// Different chunks.
    pub chunks: u64,
    /// Their bytes, uncompressed.
    pub chunk_bytes: u64,
    /// Their bytes as stored.
    pub stored_bytes: u64,
    /// Of the chunks, those on which compression did not pay.
    pub raw_chunks: u64,
    /// Their bytes.
    pub raw_bytes: u64,
    /// Recipe nodes.
    pub nodes: u64,
    /// Their bytes as stored.
    pub node_bytes: u64,
    /// Chunks and nodes that stand in the store once more: two writers saved them at the same moment, or a copy was damaged or condemned.
    pub surplus: u64,
    /// Their bytes as stored.
    pub surplus_bytes: u64,
    /// Damage notes: pieces that were found damaged at some time.
    pub damage_notes: u64,
    /// Parts of the index that could not be read.
    pub unreadable: u64,
    /// Different chunks by size.
    pub sizes: [u64; BUCKETS],
    /// Their bytes.
    pub size_bytes: [u64; BUCKETS],
}

/// A segment's entries, a block at a time.
struct Cursor {
    segment: Arc<Segment>,
    next_block: u64,
    rows: std::vec::IntoIter<Entry>,
}

impl Cursor {
    fn next(&mut self) -> Result<Option<Entry>> {
        loop {
            if let Some(entry) = self.rows.next() {
                return Ok(Some(entry));
            }
            if self.next_block >= self.segment.layout().chunks.blocks() {
                return Ok(None);
            }
            let block = self.next_block;
            self.next_block = block.saturating_add(1);
            self.rows = self.segment.entries_of(block)?.into_iter();
        }
    }
}

impl Store {
    /// Read the index from end to end and sum up what the store holds. Packs are not read.
    ///
    /// # Errors
    /// `Cancelled`; errors of the disk. Blocks that do not verify are left out and counted as `unreadable`.
    pub fn survey(&self, cancel: &Cancel) -> Result<Survey> {
        let inner = &self.inner;
        let snapshot = inner.levels.refresh()?;
        let mut survey = Survey {
            segments: snapshot.segments.len() as u64,
            unreadable: snapshot.broken.len() as u64,
            damage_notes: inner.disk.list("damage").at("list", "damage")?.len() as u64,
            ..Survey::default()
        };
        survey.add_packs(&snapshot.segments)?;
        survey.add_entries(&snapshot.segments, cancel)?;
        survey.add_blobs(&snapshot.segments, cancel)?;
        match inner.adopted(&snapshot, cancel) {
            Ok(adopted) => {
                add(&mut survey.blobs, adopted.len() as u64);
                adopted.iter().for_each(|(_, size)| add(&mut survey.blob_bytes, *size));
            }
            Err(error) => survey.forgive(error)?,
        }
        Ok(survey)
    }
}

impl Survey {
    fn add_packs(&mut self, segments: &[Arc<Segment>]) -> Result<()> {
        let mut packs: Vec<PackRow> = Vec::new();
        for segment in segments {
            add(&mut self.index_bytes, segment.file_len().saturating_sub(segment.name().pack_len));
            match segment.pack_rows() {
                Ok(rows) => packs.extend_from_slice(rows),
                Err(error) => self.forgive(error)?,
            }
        }
        packs.sort_unstable_by_key(|row| row.pack);
        packs.dedup_by_key(|row| row.pack);
        self.packs = packs.len() as u64;
        self.pack_bytes = packs.iter().fold(0, |sum, row| sum.saturating_add(row.len));
        Ok(())
    }

    fn add_entries(&mut self, segments: &[Arc<Segment>], cancel: &Cancel) -> Result<()> {
        let mut cursors: Vec<Cursor> = segments
            .iter()
            .map(|segment| Cursor { segment: Arc::clone(segment), next_block: 0, rows: Vec::new().into_iter() })
            .collect();
        let mut heap = BinaryHeap::new();
        for at in 0..cursors.len() {
            self.advance(&mut cursors, at, &mut heap)?;
        }
        let mut last: Option<(Entry, bool)> = None;
        let mut seen = 0_u64;
        while let Some(Reverse((entry, at))) = heap.pop() {
            if seen.is_multiple_of(65_536) {
                cancel.check()?;
            }
            add(&mut seen, 1);
            self.advance(&mut cursors, at, &mut heap)?;
            let same = last.filter(|(known, _)| (known.digest, known.kind) == (entry.digest, entry.kind));
            match same {
                Some((known, _)) if (known.pack, known.offset) == (entry.pack, entry.offset) => {}
                Some(_) => {
                    add(&mut self.surplus, 1);
                    add(&mut self.surplus_bytes, entry.frame_len());
                }
                None => self.add_entry(&entry),
            }
            let counted = same.is_some_and(|(_, counted)| counted);
            if entry.root && !counted {
                add(&mut self.blobs, 1);
                add(&mut self.blob_bytes, u64::from(entry.raw));
            }
            last = Some((entry, counted || entry.root));
        }
        Ok(())
    }

    fn advance(
        &mut self,
        cursors: &mut [Cursor],
        at: usize,
        heap: &mut BinaryHeap<Reverse<(Entry, usize)>>,
    ) -> Result<()> {
        let Some(cursor) = cursors.get_mut(at) else { return Ok(()) };
        loop {
            match cursor.next() {
                Ok(Some(entry)) => {
                    heap.push(Reverse((entry, at)));
                    return Ok(());
                }
                Ok(None) => return Ok(()),
                Err(error) => self.forgive(error)?,
            }
        }
    }

    fn add_entry(&mut self, entry: &Entry) {
        if entry.kind == FrameKind::Node {
            add(&mut self.nodes, 1);
            add(&mut self.node_bytes, entry.frame_len());
            return;
        }
        add(&mut self.chunks, 1);
        add(&mut self.chunk_bytes, u64::from(entry.raw));
        add(&mut self.stored_bytes, entry.frame_len());
        if entry.stored == entry.raw {
            add(&mut self.raw_chunks, 1);
            add(&mut self.raw_bytes, u64::from(entry.raw));
        }
        let bucket = usize::try_from(u32::BITS.saturating_sub(entry.raw.leading_zeros())).unwrap_or_default();
        for (sums, by) in [(&mut self.sizes, 1), (&mut self.size_bytes, u64::from(entry.raw))] {
            if let Some(sum) = sums.get_mut(bucket) {
                add(sum, by);
            }
        }
    }

    fn add_blobs(&mut self, segments: &[Arc<Segment>], cancel: &Cancel) -> Result<()> {
        let mut blobs: Vec<(Digest, u64)> = Vec::new();
        for segment in segments {
            cancel.check()?;
            let read = segment.each_blob(&mut |blob| {
                blobs.push((blob.key, blob.size));
                Ok(())
            });
            read.or_else(|error| self.forgive(error))?;
        }
        blobs.sort_unstable();
        blobs.dedup_by_key(|(key, _)| *key);
        self.large_blobs = blobs.len() as u64;
        add(&mut self.blobs, self.large_blobs);
        blobs.iter().for_each(|(_, size)| add(&mut self.blob_bytes, *size));
        Ok(())
    }

    /// Count a part of the index that is damaged; errors that say nothing about the bytes go on.
    fn forgive(&mut self, error: Error) -> Result<()> {
        if error.kind() != Kind::Corrupt {
            return Err(error);
        }
        add(&mut self.unreadable, 1);
        Ok(())
    }
}

fn add(sum: &mut u64, by: u64) {
    *sum = sum.saturating_add(by);
}
