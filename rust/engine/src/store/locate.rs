//! Where blobs stand: keys, with or without locators, to entries; a large blob's recipe to the chunks of a range.

use std::sync::Arc;

use super::by_runs::ByRuns;
use super::frames::{Job, plan};
use super::{Inner, Store, pipeline};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::format::blob::BlobEntry;
use crate::format::entry::Entry;
use crate::format::frame::{FRAME_HEADER, FrameKind};
use crate::format::locator::Locator;
use crate::format::node::Node;
use crate::id::Id;
use crate::index::by_digest::ByDigest;
use crate::index::levels::Snapshot;
use crate::{Error, Result};

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
    /// A large blob, by a locator that nobody has confirmed: the key is checked when it is read.
    Runs(ByRuns),
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

    /// The packs that its locator names, each with the end of what is wanted of it; `None` where the index has been asked, or must be.
    pub(crate) fn places(&self) -> Option<Vec<(Id, u64)>> {
        match &self.what {
            What::Hint(entry) => Some(vec![(entry.pack, entry.end())]),
            What::Runs(runs) => Some(runs.places().collect()),
            What::Chunk(_) | What::Large(_) => None,
        }
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
    /// Find blobs. A locator saves the look-up of a blob that is one chunk, or where that is a request of one of a few megabytes; it is
    /// checked against the key when the bytes are read.
    ///
    /// # Errors
    /// `Corrupt` (cause `index`) when a key is found nowhere and a part of the index is damaged; the disk's errors.
    pub fn locate(&self, keys: &[(Digest, Option<Locator>)], cancel: &Cancel) -> Result<Vec<Option<Located>>> {
        let mut found = Vec::with_capacity(keys.len());
        let mut missing = false;
        let far = self.inner.disk.reach().far;
        for (at, (key, locator)) in keys.iter().enumerate() {
            if at % 256 == 0 {
                cancel.check()?;
            }
            let located = match locator.as_ref().and_then(|locator| hint(key, locator, far)) {
                Some(located) => Some(located),
                None => self.inner.find(self.inner.levels.snapshot()?.as_ref(), key)?.0,
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
                    return Err(damage.of_index(&format!("look up {key}")));
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

/// What a locator says. A large blob's recipe is looked up, as only the index says that it belongs to the key; the bytes of a whole blob
/// say so themselves, and are read by their runs where the look-up would cost requests.
fn hint(key: &Digest, locator: &Locator, far: bool) -> Option<Located> {
    if locator.root.is_some() {
        let runs = ByRuns::new(locator).filter(|_| far)?;
        return Some(Located { key: *key, size: locator.size, what: What::Runs(runs) });
    }
    let [run] = locator.runs.as_slice() else { return None };
    if run.count != 1 || run.first != 0 {
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
        let damage = self.places(snapshot, key, FrameKind::Chunk, false, &mut |found, _| {
            entry = Some(*found);
            // A place that is noted as damaged is the last to try.
            Ok(!self.notes.is_damaged(found))
        })?;
        if let Some(entry) = entry {
            return Ok((Some(Located { key: *key, size: u64::from(entry.raw), what: What::Chunk(entry) }), damage));
        }
        let mut blobs = snapshot.blobs(key);
        self.neighbours.begin_with(blobs.at.take());
        let found = blobs.hits.first().map(|blob| Located { key: *key, size: blob.size, what: What::Large(*blob) });
        Ok((found, damage.or(blobs.damage)))
    }

    /// The chunks of a large blob that touch `start..stop`, in order; every node that was read is added to `nodes`.
    pub(crate) fn recipe(
        &self,
        snapshot: &Arc<Snapshot>,
        blob: &BlobEntry,
        (start, stop): (u64, u64),
        nodes: &mut Vec<Digest>,
        cancel: &Cancel,
    ) -> Result<Vec<Piece>> {
        let wrong = |digest: &Digest| {
            Error::corrupt("recipe", format!("read recipe node {digest}: it does not fit its parent"))
        };
        let mut ready: ByDigest<Digest, Vec<u8>> = ByDigest::default();
        if start == 0 && stop >= blob.size {
            let digests = self.look_ahead(snapshot, blob)?;
            // One that cannot be read is told when its turn comes, if it is of this recipe.
            let read = if digests.is_empty() { Ok(Vec::new()) } else { self.nodes(snapshot, &digests, cancel) };
            ready.extend(digests.into_iter().zip(read.unwrap_or_default()));
        }
        let mut level = vec![Piece { digest: blob.root, start: 0, len: blob.size }];
        let mut read: Vec<Vec<Digest>> = Vec::new();
        for height in (0..=blob.height).rev() {
            let digests: Vec<Digest> = level.iter().map(|piece| piece.digest).collect();
            let mut below = Vec::new();
            let all: Option<Vec<Vec<u8>>> = digests.iter().map(|digest| ready.get(digest).cloned()).collect();
            let nodes = all.map_or_else(|| self.nodes(snapshot, &digests, cancel), Ok)?;
            for (parent, bytes) in level.iter().zip(nodes) {
                let node = Node::decode(&bytes)?;
                let mut at = parent.start;
                for record in &node.records {
                    let end = at.checked_add(record.len).ok_or_else(|| wrong(&parent.digest))?;
                    if end > start && at < stop {
                        below.push(Piece { digest: record.digest, start: at, len: record.len });
                    }
                    at = end;
                }
                if node.height != height || Some(at) != parent.start.checked_add(parent.len) {
                    return Err(wrong(&parent.digest));
                }
            }
            read.push(digests);
            level = below;
        }
        // As they were written: a level's nodes before those above.
        nodes.extend(read.into_iter().rev().flatten());
        let whole = start == 0 && stop >= blob.size;
        if whole && level.len() as u64 != blob.chunks {
            return Err(Error::corrupt(
                "recipe",
                format!("read the recipe of {}: it lists {} of {} chunks", blob.key, level.len(), blob.chunks),
            ));
        }
        Ok(level)
    }

    /// The bytes of nodes: together by the first entry of each, and by every other where that fails.
    fn nodes(&self, snapshot: &Arc<Snapshot>, digests: &[Digest], cancel: &Cancel) -> Result<Vec<Vec<u8>>> {
        let many = digests.len() > 1;
        let mut entries = Vec::with_capacity(digests.len());
        for digest in digests {
            cancel.check()?;
            let mut entry = None;
            self.places(snapshot, digest, FrameKind::Node, many, &mut |found, _| {
                entry = Some(*found);
                Ok(!self.notes.is_damaged(found))
            })?;
            entries.push(entry);
        }
        let mut outs: Vec<Vec<u8>> =
            entries.iter().map(|entry| vec![0; entry.map_or(0, |entry| entry.raw as usize)]).collect();
        let jobs = entries
            .iter()
            .zip(&mut outs)
            .enumerate()
            .filter_map(|(owner, (entry, out))| entry.map(|entry| Job { entry, out, owner, check: true }));
        let tasks = plan(jobs.collect(), self.disk.reach());
        let mut good: Vec<bool> = entries.iter().map(Option::is_some).collect();
        for (owner, entry, _) in self.run_tasks(snapshot, tasks, cancel) {
            self.packs.forget(&entry.pack);
            if let Some(good) = good.get_mut(owner) {
                *good = false;
            }
        }
        for ((digest, out), _) in digests.iter().zip(&mut outs).zip(good).filter(|(_, good)| !good) {
            cancel.check()?;
            *out = self.read_any(snapshot, digest, FrameKind::Node)?;
        }
        Ok(outs)
    }
}
