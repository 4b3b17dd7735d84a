//! How one blob is stored: its chunks, what its saving added, what it found, and why the rest was not deduplicated.

use std::collections::HashSet;

use super::locate::What;
use super::{Inner, Store, internal};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::format::{BlobEntry, Entry, FrameKind};
use crate::index::levels::Snapshot;
use crate::{Id, Result};

/// One blob, taken apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Anatomy {
    /// Bytes of the blob.
    pub size: u64,
    /// Chunks it is made of, repetitions included.
    pub chunks: u64,
    /// Of these, repetitions of a chunk within the blob.
    pub repeated_chunks: u64,
    /// Their bytes.
    pub repeated_bytes: u64,
    /// Different chunks that stood in the store before this blob was saved.
    pub known_chunks: u64,
    /// Their bytes.
    pub known_bytes: u64,
    /// Bytes of its different chunks as stored.
    pub stored_bytes: u64,
    /// Bytes of its different chunks on which compression did not pay.
    pub raw_bytes: u64,
    /// Nodes of its recipe.
    pub nodes: u64,
    /// Packs that its chunks stand in.
    pub packs: u64,
    /// Chunks that have more than one place in the store.
    pub surplus_chunks: u64,
    /// Chunks that the index does not know, or knows in damaged places only.
    pub bad_chunks: u64,
}

impl Store {
    /// Take a blob apart; `None` when there is no such blob.
    ///
    /// # Errors
    /// `Corrupt` when its recipe cannot be read; `Cancelled`; the disk's errors.
    pub fn anatomy(&self, key: &Digest, cancel: &Cancel) -> Result<Option<Anatomy>> {
        let inner = &self.inner;
        let Some(located) = self.locate(&[(*key, None)], cancel)?.into_iter().flatten().next() else { return Ok(None) };
        let snapshot = inner.levels.snapshot()?;
        // What a later version announces bars writing, not looking.
        let _ = inner.notes.refresh(inner.disk.as_ref());
        let mut anatomy = Anatomy { size: located.size(), ..Anatomy::default() };
        let mut packs = HashSet::new();
        match located.what {
            What::Runs(_) => return Err(internal()), // nobody gave a locator
            What::Chunk(entry) | What::Hint(entry) => {
                anatomy.chunks = 1;
                inner.add_chunk(&snapshot, &entry.digest, u64::from(entry.raw), None, &mut packs, &mut anatomy)?;
            }
            What::Large(blob) => {
                let batch = saved_by(&snapshot, &blob)?;
                let mut nodes = Vec::new();
                let pieces = inner.recipe(&snapshot, &blob, (0, blob.size), &mut nodes, cancel)?;
                anatomy.nodes = nodes.len() as u64;
                anatomy.chunks = blob.chunks;
                let mut seen = HashSet::new();
                for piece in pieces {
                    cancel.check()?;
                    if seen.insert(piece.digest) {
                        inner.add_chunk(&snapshot, &piece.digest, piece.len, batch, &mut packs, &mut anatomy)?;
                    } else {
                        add(&mut anatomy.repeated_chunks, 1);
                        add(&mut anatomy.repeated_bytes, piece.len);
                    }
                }
            }
        }
        anatomy.packs = packs.len() as u64;
        Ok(Some(anatomy))
    }
}

/// The batch that wrote a large blob's entry, as the segment it stands in counts batches.
fn saved_by(snapshot: &Snapshot, blob: &BlobEntry) -> Result<Option<(Id, Option<u32>)>> {
    for segment in &snapshot.segments {
        let mut hits = Vec::new();
        segment.blobs(&blob.key, &mut hits)?;
        if let Some(hit) = hits.iter().find(|hit| hit.root == blob.root) {
            return Ok(Some((segment.name().id, hit.batch)));
        }
    }
    Ok(None)
}

impl Inner {
    fn add_chunk(
        &self,
        snapshot: &Snapshot,
        digest: &Digest,
        len: u64,
        batch: Option<(Id, Option<u32>)>,
        packs: &mut HashSet<Id>,
        anatomy: &mut Anatomy,
    ) -> Result<()> {
        let mut places: Vec<(Entry, bool)> = Vec::new();
        snapshot.chunks(digest, FrameKind::Chunk, &mut |entry, segment| {
            let own = batch.is_none_or(|batch| batch == (segment.name().id, entry.batch));
            if !places.iter().any(|(place, _)| (place.pack, place.offset) == (entry.pack, entry.offset)) {
                places.push((*entry, own));
            }
            Ok(false)
        })?;
        let sound = places.iter().filter(|(entry, _)| !self.notes.is_damaged(entry)).count();
        if sound == 0 {
            add(&mut anatomy.bad_chunks, 1);
        }
        if places.len() > 1 {
            add(&mut anatomy.surplus_chunks, 1);
        }
        if !places.is_empty() && !places.iter().any(|(_, own)| *own) {
            add(&mut anatomy.known_chunks, 1);
            add(&mut anatomy.known_bytes, len);
        }
        if let Some((entry, _)) = places.first() {
            packs.insert(entry.pack);
            add(&mut anatomy.stored_bytes, entry.frame_len());
            if entry.stored == entry.raw {
                add(&mut anatomy.raw_bytes, len);
            }
        }
        Ok(())
    }
}

fn add(sum: &mut u64, by: u64) {
    *sum = sum.saturating_add(by);
}
