//! Packs by id: where their bytes stand, whether they are there, and the files that are open.

use std::sync::{Arc, Mutex};

use super::Inner;
use super::pipeline::lock;
use crate::Result;
use crate::disk::File;
use crate::error::At;
use crate::id::Id;
use crate::index::by_digest::{ByDigest, DigestSet};
use crate::index::levels::Snapshot;
use crate::mutant::planted;

/// Remember at most this many.
const REMEMBERED: usize = 100_000;
/// Open at most this many packs.
const OPEN: usize = 128;

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
        let mut expected = None;
        for segment in &snapshot.segments {
            if let Some(row) = segment.pack_row(id)? {
                expected = Some(row.len);
                break;
            }
        }
        let Some(expected) = expected else { return Ok(false) };
        let path = pack_path(id);
        let found = self.disk.stat(&path).at("stat", &path)?;
        Ok(found.is_some_and(|meta| !meta.is_dir && meta.len == expected))
    }
}
