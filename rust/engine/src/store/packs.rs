//! Packs by id: where their bytes stand, whether they are there, and the files that are open.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::Inner;
use super::pipeline::lock;
use crate::disk::File;
use crate::error::At;
use crate::id::Id;
use crate::index::by_digest::{ByDigest, DigestSet};
use crate::index::levels::Snapshot;
use crate::mutant::planted;
use crate::{Kind, Result};

/// Remember at most this many.
const REMEMBERED: usize = 100_000;
/// Open at most this many packs.
const OPEN: usize = 128;

/// From this number on a list is cheaper than a look at each.
const MANY: usize = 3;
/// What one request lists.
const PAGE: usize = 1000;

/// The path of a pack that has a file of its own.
pub(crate) fn pack_path(id: &Id) -> String {
    format!("packs/{id}")
}

/// Open pack files, by id.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    open: Mutex<ByDigest<Id, Arc<dyn File>>>,
    /// Packs that were seen to be there. Where each look is a request they are looked for in step 3 only.
    seen: Mutex<DigestSet<Id>>,
}

impl Packs {
    /// The file that holds a pack; `None` when it is gone. Frame offsets count from the file's start.
    pub(crate) fn open(&self, store: &Inner, snapshot: &Snapshot, id: &Id) -> Result<Option<Arc<dyn File>>> {
        if let Some(file) = lock(&self.open).get(id) {
            return Ok(Some(Arc::clone(file)));
        }
        if let Some(segment) = snapshot.embedded(id) {
            return Ok(Some(segment.file()));
        }
        let path = pack_path(id);
        let Some(file) = store.disk.open_named(&path, None).at("open", &path)? else { return Ok(None) };
        if planted("descriptor-leaked") {
            std::mem::forget(Arc::clone(&file));
        }
        let mut open = lock(&self.open);
        if open.len() >= OPEN {
            open.clear();
        }
        open.insert(*id, Arc::clone(&file));
        Ok(Some(file))
    }

    /// Whether its own file is open.
    pub(crate) fn is_open(&self, id: &Id) -> bool {
        lock(&self.open).contains_key(id)
    }

    /// Forget what is open, after a pack was found damaged or gone.
    pub(crate) fn forget(&self, id: &Id) {
        lock(&self.open).remove(id);
    }

    /// Whether it was there when it was looked for last.
    pub(crate) fn was_seen(&self, id: &Id) -> bool {
        lock(&self.seen).contains(id)
    }

    /// Remember whether it is there.
    pub(crate) fn see(&self, id: &Id, there: bool) {
        let mut seen = lock(&self.seen);
        if there && seen.len() < REMEMBERED {
            seen.insert(*id);
        } else {
            seen.remove(id);
        }
    }

    /// Close everything.
    pub(crate) fn close(&self) {
        lock(&self.open).clear();
    }
}

/// Packs that one check has looked for: each once, however much stands in it. Made after whatever the check must come after.
#[derive(Debug, Default)]
pub(crate) struct Looked(Mutex<ByDigest<Id, bool>>);

impl Looked {
    /// As [`Inner::pack_is_there`].
    pub(crate) fn is_there(&self, store: &Inner, snapshot: &Snapshot, id: &Id) -> Result<bool> {
        if let Some(there) = lock(&self.0).get(id) {
            return Ok(*there);
        }
        let there = store.pack_is_there(snapshot, id)?;
        lock(&self.0).insert(*id, there);
        Ok(there)
    }
}

impl Inner {
    /// Whether a pack is there with the length that the index says. Asks the disk: existence in a list is not validity.
    pub(crate) fn pack_is_there(&self, snapshot: &Snapshot, id: &Id) -> Result<bool> {
        let there = self.look_for_pack(snapshot, id)?;
        self.packs.see(id, there);
        Ok(there)
    }

    fn look_for_pack(&self, snapshot: &Snapshot, id: &Id) -> Result<bool> {
        if let Some(segment) = snapshot.embedded(id) {
            let found = self.disk.stat(segment.path()).at("stat", segment.path())?;
            return Ok(found.is_some_and(|meta| !meta.is_dir && meta.len == segment.file_len()));
        }
        let Some(expected) = self.pack_len(snapshot, id)? else { return Ok(false) };
        let path = pack_path(id);
        let found = self.disk.stat(&path).at("stat", &path)?;
        Ok(found.is_some_and(|meta| !meta.is_dir && meta.len == expected))
    }

    /// The length that the index says. A segment that is damaged says nothing: what only it knows is not leaned on.
    fn pack_len(&self, snapshot: &Snapshot, id: &Id) -> Result<Option<u64>> {
        let likely = self.neighbours.segment_of(snapshot, id);
        for segment in likely.iter().chain(&snapshot.segments) {
            match segment.pack_row(id) {
                Ok(Some(row)) => return Ok(Some(row.len)),
                Ok(None) => {}
                Err(error) if error.kind() == Kind::Corrupt => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Which of these packs are certainly there with their lengths, as far as a list tells for less than a look at each: packs of one
    /// writer begin with its id. Those that are not among them must be looked for.
    pub(crate) fn packs_listed(&self, snapshot: &Snapshot, packs: &[&Id]) -> Result<DigestSet<Id>> {
        let mut found = DigestSet::default();
        let mut writers: BTreeMap<String, Vec<&Id>> = BTreeMap::new();
        for &pack in packs.iter().filter(|pack| snapshot.embedded(pack).is_none()) {
            let mut prefix = pack_path(pack);
            prefix.truncate(prefix.len().saturating_sub(16)); // eight bytes of the writer's, eight of its own
            writers.entry(prefix).or_default().push(pack);
        }
        for (prefix, packs) in writers.into_iter().filter(|(_, packs)| packs.len() >= MANY) {
            let Some(listed) = self.disk.lengths(&prefix, PAGE).at("list", &prefix)? else { continue };
            for pack in packs {
                let path = pack_path(pack);
                let len = listed.iter().find(|(name, _)| *name == path).map(|(_, len)| *len);
                if len.is_some() && len == self.pack_len(snapshot, pack)? {
                    found.insert(*pack);
                }
            }
        }
        Ok(found)
    }
}
