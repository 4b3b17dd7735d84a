//! What the store has already, and whether it can be leaned on: an entry whose pack is there with the length that the index
//! says, neither condemned nor noted as damaged; for a large blob, that of every chunk and node of its recipe.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::Inner;
use super::pending::Lent;
use super::pipeline::lock;
use super::place::frame_len;
use super::recipe::Tree;
use super::runs::{PackRef, Run, Runs};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::format::blob::BlobEntry;
use crate::format::{Entry, FrameKind};
use crate::id::Id;
use crate::index::by_digest::{ByDigest, DigestSet};
use crate::index::levels::Snapshot;
use crate::mutant::planted;
use crate::{Kind, Result};

/// Chunks and nodes of one pack that a batch leans on.
pub(crate) type Leaned = DigestSet<(Digest, FrameKind)>;

/// A blob that is there already.
pub(crate) struct KnownBlob {
    pub(crate) root: Option<Digest>,
    pub(crate) runs: Vec<Run>,
}

/// One batch's view of what is known, and what it leans on.
#[derive(Debug)]
pub(crate) struct Known {
    check: bool,
    presence: Mutex<ByDigest<Id, bool>>,
    looking: Mutex<()>,
    leaned: Mutex<ByDigest<Id, Leaned>>,
    blobs: Mutex<DigestSet<Digest>>,
    /// How often it was asked: whoever asks twice asks often.
    asked: AtomicU32,
}

impl Known {
    pub(crate) fn new(check: bool) -> Self {
        Self {
            check,
            presence: Mutex::default(),
            looking: Mutex::default(),
            leaned: Mutex::default(),
            blobs: Mutex::default(),
            asked: AtomicU32::new(0),
        }
    }

    /// Remember that this batch needs what an entry names.
    pub(crate) fn lean(&self, entry: &Entry) {
        lock(&self.leaned).entry(entry.pack).or_default().insert((entry.digest, entry.kind));
    }

    /// Remember that this batch saved a blob that was there.
    pub(crate) fn lean_on_blob(&self, key: Digest) {
        lock(&self.blobs).insert(key);
    }

    pub(crate) fn leaned(&self) -> ByDigest<Id, Leaned> {
        lock(&self.leaned).clone()
    }

    /// The blobs it saved that were there, in ascending order.
    pub(crate) fn blobs_leaned(&self) -> Vec<Digest> {
        let mut keys: Vec<Digest> = lock(&self.blobs).iter().copied().collect();
        keys.sort_unstable();
        keys
    }

    /// Whether a whole blob is there; what is found is leaned on.
    pub(crate) fn blob(
        &self,
        store: &Inner,
        snapshot: &Arc<Snapshot>,
        key: &Digest,
        (len, largest): (usize, usize),
        cancel: &Cancel,
    ) -> Result<Option<KnownBlob>> {
        if len > largest {
            self.large(store, snapshot, key, len, cancel)
        } else {
            self.small(store, snapshot, key, len)
        }
    }

    fn small(&self, store: &Inner, snapshot: &Arc<Snapshot>, key: &Digest, len: usize) -> Result<Option<KnownBlob>> {
        let Some(entry) = self.usable(store, snapshot, FrameKind::Chunk, key)? else { return Ok(None) };
        if usize::try_from(entry.raw) != Ok(len) {
            return Ok(None);
        }
        self.lean(&entry);
        let runs = super::batch::one_run(PackRef::Known(entry.pack), entry.offset, frame_len(&entry));
        Ok(Some(KnownBlob { root: None, runs }))
    }

    fn large(
        &self,
        store: &Inner,
        snapshot: &Arc<Snapshot>,
        key: &Digest,
        len: usize,
        cancel: &Cancel,
    ) -> Result<Option<KnownBlob>> {
        let found = snapshot.blobs_in(key, &|segment| !store.notes.is_suspect(segment.name()));
        store.neighbours.begin_with(found.at);
        for blob in found.hits {
            if blob.size == len as u64
                && let Some(known) = self.whole_recipe(store, snapshot, &blob, cancel)?
            {
                return Ok(Some(known));
            }
        }
        Ok(None)
    }

    /// Everything that a recipe lists is there; anything less is `None`.
    fn whole_recipe(
        &self,
        store: &Inner,
        snapshot: &Arc<Snapshot>,
        blob: &BlobEntry,
        cancel: &Cancel,
    ) -> Result<Option<KnownBlob>> {
        let mut nodes = Vec::new();
        let recipe = match store.recipe(snapshot, blob, (0, blob.size), &mut nodes, cancel) {
            Ok(recipe) => recipe,
            Err(error) if error.kind() == Kind::Corrupt || error.kind() == Kind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut used = Vec::with_capacity(recipe.len().saturating_add(nodes.len()));
        let mut runs = Runs::default();
        for piece in &recipe {
            cancel.check()?;
            let Some(entry) = self.usable(store, snapshot, FrameKind::Chunk, &piece.digest)? else { return Ok(None) };
            runs.push(PackRef::Known(entry.pack), entry.offset, frame_len(&entry));
            used.push(entry);
        }
        for digest in &nodes {
            cancel.check()?;
            let Some(entry) = self.usable(store, snapshot, FrameKind::Node, digest)? else { return Ok(None) };
            runs.push_node(PackRef::Known(entry.pack), entry.offset, frame_len(&entry));
            used.push(entry);
        }
        used.iter().for_each(|entry| self.lean(entry));
        Ok(Some(KnownBlob { root: Some(blob.root), runs: runs.finish() }))
    }

    /// Entries of chunks or nodes that can be leaned on. They are not leaned on yet.
    pub(crate) fn chunks(&self, store: &Inner, kind: FrameKind, digests: &[Digest]) -> Result<Vec<Option<Entry>>> {
        let snapshot = store.levels.snapshot()?;
        digests.iter().map(|digest| self.usable(store, &snapshot, kind, digest)).collect()
    }

    /// What another batch of this process has written of late, unless this one reads what it leans on.
    pub(crate) fn borrow(&self, store: &Inner, digest: &Digest) -> Option<Lent> {
        if self.check { None } else { store.pending.borrow(digest) }
    }

    /// Whether the index lists exactly this recipe for a blob.
    pub(crate) fn blob_is_listed(&self, store: &Inner, key: &Digest, tree: &Tree) -> Result<bool> {
        let snapshot = store.levels.snapshot()?;
        let found = snapshot.blobs_in(key, &|segment| !store.notes.is_suspect(segment.name()));
        Ok(found.hits.iter().any(|blob| blob.root == tree.root && blob.size == tree.size))
    }

    fn usable(
        &self,
        store: &Inner,
        snapshot: &Arc<Snapshot>,
        kind: FrameKind,
        digest: &Digest,
    ) -> Result<Option<Entry>> {
        let mut good = None;
        // Damage of the index is no reason to fail a save: what is not found is stored again.
        let many = self.asked.fetch_add(1, Ordering::Relaxed) > 0;
        store.places(snapshot, digest, kind, many, &mut |entry, segment| {
            if !store.notes.is_suspect(segment.name()) && self.can_lean_on(store, snapshot, entry)? {
                good = Some(*entry);
            }
            Ok(good.is_some())
        })?;
        Ok(good)
    }

    fn can_lean_on(&self, store: &Inner, snapshot: &Snapshot, entry: &Entry) -> Result<bool> {
        if planted("dedup-by-existence") {
            return Ok(true);
        }
        if store.notes.is_barred(entry) {
            return Ok(false);
        }
        let far = store.disk.reach().far;
        let seen = || {
            let seen = lock(&self.presence).get(&entry.pack).copied();
            seen.or((far && store.packs.was_seen(&entry.pack)).then_some(true))
        };
        let there = match seen() {
            Some(there) => there,
            None => {
                // One looks, and the others wait for what it finds.
                let _one_at_a_time = lock(&self.looking);
                if let Some(there) = seen() {
                    return self.are_its_bytes_good(store, snapshot, entry, there);
                }
                let there = store.pack_is_there(snapshot, &entry.pack)?;
                lock(&self.presence).insert(entry.pack, there);
                there
            }
        };
        self.are_its_bytes_good(store, snapshot, entry, there)
    }

    fn are_its_bytes_good(&self, store: &Inner, snapshot: &Snapshot, entry: &Entry, there: bool) -> Result<bool> {
        if !there || !self.check {
            return Ok(there);
        }
        match store.read_frame(snapshot, entry) {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Kind::Corrupt || error.kind() == Kind::NotFound => {
                store.note_damage(entry);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }
}
