//! Blobs whose bytes are all there: hashed and looked up before anything else is done with them.
//!
//! Bytes that their owner may change meanwhile are copied before they are stored, so that a key is that of what is stored. What is
//! there already need not be: its key was found by hashing, and what stands under it has that key whatever became of these bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::batch::{Batch, GRAIN, Place, Row};
use super::feed::cut_up_to;
use super::known::{Known, KnownBlob};
use super::pipeline::{self, hash_large};
use crate::Result;
use crate::cancel::Cancel;
use crate::chunk::Cutter;
use crate::digest::{self, Digest};
use crate::format::FrameKind;
use crate::index::levels::Snapshot;

/// A blob as a caller holds it.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Whether their owner may change them during the call.
    pub changes: bool,
}

impl<'a> From<&'a [u8]> for Item<'a> {
    fn from(bytes: &'a [u8]) -> Self {
        Self { bytes, changes: false }
    }
}

/// An item that was hashed and looked up.
pub(crate) struct Seen {
    pub(crate) key: Digest,
    pub(crate) known: Option<KnownBlob>,
    /// Of bytes that may change: what is to be stored.
    pub(crate) copy: Option<Vec<u8>>,
}

/// Whether the last blob that may change was there already: then the next is looked up where it stands. Copying what is there costs
/// as much as hashing it, and hashing what is new twice a fifth of saving it.
#[derive(Debug, Default)]
pub(crate) struct Repeats(AtomicBool);

impl Batch {
    /// Hash and look up every item of a call.
    pub(crate) fn see(&mut self, items: &[Item<'_>], threads: usize, cancel: &Cancel) -> Result<Vec<Seen>> {
        let mut asked = Vec::with_capacity(items.len());
        for &item in items {
            // A blob that is large enough is hashed by all threads at once, the others each by one, which looks it up, too.
            let large = item.bytes.len() >= if items.len() == 1 { GRAIN } else { HUGE };
            let in_place = !item.changes || self.repeats.0.load(Ordering::Relaxed);
            let key = if large && in_place { Some(hash_large(item.bytes, threads, cancel)?) } else { None };
            asked.push((item, key));
        }
        let total = items.iter().fold(0_usize, |sum, item| sum.saturating_add(item.bytes.len()));
        let grain = items.len().saturating_mul(GRAIN).checked_div(total.max(1)).unwrap_or(1).clamp(1, 512);
        let mut seen = self.see_all(&asked, (threads, grain), cancel)?;
        if !self.is_fresh() && seen.iter().any(|one| one.known.is_some()) {
            self.freshen()?;
            self.known = Known::new(self.options.check);
            let again: Vec<_> = items
                .iter()
                .zip(&seen)
                .map(|(&item, one)| (one.copy.as_deref().map_or(item, Item::from), Some(one.key)))
                .collect();
            let copies = self.see_all(&again, (threads, grain), cancel)?;
            for (one, again) in seen.iter_mut().zip(copies) {
                *one = Seen { copy: again.copy.or_else(|| one.copy.take()), ..again };
            }
        }
        Ok(seen)
    }

    fn see_all(
        &self,
        asked: &[(Item<'_>, Option<Digest>)],
        (threads, grain): (usize, usize),
        cancel: &Cancel,
    ) -> Result<Vec<Seen>> {
        let snapshot = self.store.levels.snapshot()?;
        pipeline::map(asked, threads, grain, cancel, |&(item, key)| self.see_one(&snapshot, item, key, cancel))
    }

    fn see_one(&self, snapshot: &Arc<Snapshot>, item: Item<'_>, key: Option<Digest>, cancel: &Cancel) -> Result<Seen> {
        let largest = self.store.settings.chunking.max as usize;
        let known = |key: &Digest| self.known.blob(&self.store, snapshot, key, (item.bytes.len(), largest), cancel);
        if !item.changes || key.is_some() || self.repeats.0.load(Ordering::Relaxed) {
            let key = key.unwrap_or_else(|| digest::hash(item.bytes));
            let known = known(&key)?;
            if known.is_some() || !item.changes {
                return Ok(Seen { key, known, copy: None });
            }
        }
        let (copy, key) = digest::copy_and_hash(item.bytes);
        let known = known(&key)?;
        self.repeats.0.store(known.is_some(), Ordering::Relaxed);
        Ok(Seen { key, copy: known.is_none().then_some(copy), known })
    }

    /// Add one large blob only if it is there already, and tell whether it was. Its bytes may change meanwhile: none of them is stored.
    ///
    /// All of it is hashed only if its first chunk is known.
    ///
    /// # Errors
    /// As for `add`.
    pub fn add_known(&mut self, bytes: &[u8], cancel: &Cancel) -> Result<bool> {
        self.freshen()?;
        let cutter = Cutter::new(&self.store.settings.chunking)?;
        let first = cut_up_to(&cutter, &mut { bytes }, true, 1)?;
        let digests: Vec<Digest> = first.iter().map(|chunk| digest::hash(chunk)).collect();
        if self.known.chunks(&self.store, FrameKind::Chunk, &digests)?.iter().all(Option::is_none) {
            return Ok(false);
        }
        let store = Arc::clone(&self.store);
        let hands = store.crew.join(store.threads);
        let key = hash_large(bytes, hands.count(), cancel)?;
        let largest = store.settings.chunking.max as usize;
        let known = self.known.blob(&store, &store.levels.snapshot()?, &key, (bytes.len(), largest), cancel)?;
        let Some(known) = known else { return Ok(false) };
        let row = self.known_row(key, bytes.len() as u64, known);
        self.rows.push(Some(row));
        Ok(true)
    }

    /// A row for a blob that is there; the batch leans on it.
    pub(crate) fn known_row(&self, key: Digest, size: u64, known: KnownBlob) -> Row {
        self.known.lean_on_blob(key);
        Row {
            key,
            size,
            stored: 0,
            existed: true,
            root: known.root,
            runs: Place::Runs(known.runs),
            borrowed: Vec::new(),
        }
    }
}

/// A blob of this length is hashed by all threads at once.
const HUGE: usize = 16 * 1024 * 1024;
