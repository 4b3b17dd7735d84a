//! Where blobs stand: keys, with or without locators, to entries; a large blob's recipe to the chunks of a range.

use std::sync::Arc;

use super::{Inner, Store, pipeline};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::format::blob::BlobEntry;
use crate::format::entry::Entry;
use crate::format::frame::{FRAME_HEADER, FrameKind};
use crate::format::locator::Locator;
use crate::format::node::Node;
use crate::index::levels::Snapshot;
use crate::{Error, Kind, Result};

/// A blob that was found, and its size.
#[derive(Clone, Debug)]
pub struct Located {
    pub(crate) key: Digest,
    pub(crate) size: u64,
    pub(crate) what: What,
}

#[derive(Clone, Debug)]
pub(crate) enum What {
    /// One chunk, by an entry of the index.
    Chunk(Entry),
    /// One chunk, by a locator that nobody has confirmed: the key is checked when it is read.
    Hint(Entry),
    /// A recipe.
    Large(BlobEntry),
}

impl Located {
    /// The blob's length in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The blob's key.
    pub fn key(&self) -> Digest {
        self.key
    }
}

/// One chunk of a large blob.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Piece {
    pub(crate) digest: Digest,
    /// Of its first byte in the blob.
    pub(crate) start: u64,
    pub(crate) len: u64,
}

impl Store {
    /// Find blobs. A locator saves the look-up of a blob that is one chunk; it is checked against the key when the bytes are read.
    ///
    /// # Errors
    /// `Corrupt` (cause `index`) when a key is found nowhere and a part of the index cannot be read; the disk's errors.
    pub fn locate(&self, keys: &[(Digest, Option<Locator>)], cancel: &Cancel) -> Result<Vec<Option<Located>>> {
        let mut found = Vec::with_capacity(keys.len());
        let mut missing = false;
        let snapshot = self.inner.levels.snapshot()?;
        for (at, (key, locator)) in keys.iter().enumerate() {
            if at % 256 == 0 {
                cancel.check()?;
            }
            let located = match locator.as_ref().and_then(|locator| hint(key, locator)) {
                Some(located) => Some(located),
                None => self.inner.find(&snapshot, key)?.0,
            };
            missing |= located.is_none();
            found.push(located);
        }
        if missing {
            // Another process may have saved it since the index was listed.
            let snapshot = self.inner.levels.refresh()?;
            for (located, (key, _)) in found.iter_mut().zip(keys).filter(|(located, _)| located.is_none()) {
                let (again, damage) = self.inner.find(&snapshot, key)?;
                if let (None, Some(damage)) = (&again, damage) {
                    self.inner.note_index_damage(&snapshot);
                    return Err(damage.recast(
                        Kind::Corrupt,
                        "index",
                        &format!("look up {key}: a part of the index cannot be read"),
                    ));
                }
                *located = again;
            }
        }
        Ok(found)
    }
}

impl Store {
    /// Which of these digests the index names as chunks, as it was last listed: no listing, no look at packs.
    ///
    /// # Errors
    /// `Cancelled`; the disk's errors.
    pub fn named(&self, digests: &[Digest], cancel: &Cancel) -> Result<Vec<bool>> {
        let snapshot = self.inner.levels.snapshot()?;
        pipeline::map(digests, self.inner.threads, 512, cancel, |digest| {
            let mut named = false;
            snapshot.chunks(digest, FrameKind::Chunk, &mut |_, _| {
                named = true;
                Ok(true)
            })?;
            Ok(named)
        })
    }
}

/// What a locator says about a blob that is one chunk. A large blob's recipe is looked up: only the index says that it belongs to the key.
fn hint(key: &Digest, locator: &Locator) -> Option<Located> {
    let [run] = locator.runs.as_slice() else { return None };
    if locator.root.is_some() || run.count != 1 || run.first != 0 {
        return None;
    }
    let stored = u32::try_from(run.len.checked_sub(FRAME_HEADER as u64)?).ok()?;
    let raw = u32::try_from(locator.size).ok()?;
    if raw > crate::format::MAX_CHUNK || stored > crate::format::MAX_CHUNK {
        return None;
    }
    let entry = Entry {
        digest: *key,
        pack: run.pack,
        offset: run.offset,
        stored,
        raw,
        kind: FrameKind::Chunk,
        root: false,
        batch: None,
    };
    Some(Located { key: *key, size: locator.size, what: What::Hint(entry) })
}

impl Inner {
    /// A blob by its key, and the damage met while looking.
    pub(crate) fn find(&self, snapshot: &Snapshot, key: &Digest) -> Result<(Option<Located>, Option<Error>)> {
        let mut entry = None;
        let damage = snapshot.chunks(key, FrameKind::Chunk, &mut |found, _| {
            entry = Some(*found);
            // A place that is noted as damaged is the last to try.
            Ok(!self.notes.is_damaged(found))
        })?;
        if let Some(entry) = entry {
            return Ok((Some(Located { key: *key, size: u64::from(entry.raw), what: What::Chunk(entry) }), damage));
        }
        let blobs = snapshot.blobs(key);
        let found = blobs.hits.first().map(|blob| Located { key: *key, size: blob.size, what: What::Large(*blob) });
        Ok((found, damage.or(blobs.damage)))
    }

    /// The chunks of a large blob that touch `start..stop`, in order; every node that was read is added to `nodes`.
    pub(crate) fn recipe(
        &self,
        snapshot: &Arc<Snapshot>,
        blob: &BlobEntry,
        start: u64,
        stop: u64,
        nodes: &mut Vec<Digest>,
    ) -> Result<Vec<Piece>> {
        let mut pieces = Vec::new();
        let mut walk = Walk { store: self, snapshot, start, stop, nodes, pieces: &mut pieces };
        let end = walk.node(&blob.root, blob.height, 0)?;
        let whole = start == 0 && stop >= blob.size;
        if end != blob.size || (whole && pieces.len() as u64 != blob.chunks) {
            return Err(Error::corrupt(
                "recipe",
                format!("read the recipe of {}: it lists {end} of {} bytes", blob.key, blob.size),
            ));
        }
        Ok(pieces)
    }
}

struct Walk<'a> {
    store: &'a Inner,
    snapshot: &'a Arc<Snapshot>,
    start: u64,
    stop: u64,
    nodes: &'a mut Vec<Digest>,
    pieces: &'a mut Vec<Piece>,
}

impl Walk<'_> {
    /// Read a node whose first byte stands at `at` in the blob; returns where it ends.
    fn node(&mut self, digest: &Digest, height: u8, at: u64) -> Result<u64> {
        let bytes = self.store.read_any(self.snapshot, digest, FrameKind::Node)?;
        self.nodes.push(*digest);
        let node = Node::decode(&bytes)?;
        let wrong = || Error::corrupt("recipe", format!("read recipe node {digest}: it does not fit its parent"));
        if node.height != height {
            return Err(wrong());
        }
        let mut at = at;
        for record in &node.records {
            let end = at.checked_add(record.len).ok_or_else(wrong)?;
            if end > self.start && at < self.stop {
                if height == 0 {
                    self.pieces.push(Piece { digest: record.digest, start: at, len: record.len });
                } else if self.node(&record.digest, height.checked_sub(1).ok_or_else(wrong)?, at)? != end {
                    return Err(wrong());
                }
            }
            at = end;
        }
        Ok(at)
    }
}
