//! A batch: blobs that become visible together. It hashes, looks up, cuts, compresses and stages; `commit` makes it visible.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::ScopedJoinHandle;
use std::time::Duration;

use super::feed::{Feed, Whole};
use super::items::{Item, Repeats};
use super::known::{Known, Leaned};
use super::pipeline::{self, lock};
use super::runs::{PackRef, Run, Runs};
use super::stage::{Placed, SMALL, SMALL_LIMIT, Stage};
use super::stream::Stream;
use super::writer::Writer;
use super::{Inner, internal};
use crate::cancel::Cancel;
use crate::digest::Digest;
use crate::id::Id;
use crate::index::by_digest::ByDigest;
use crate::{Error, Kind, Result};

/// How a batch is saved.
#[derive(Clone, Copy, Debug)]
pub struct BatchOptions {
    /// Keep its blobs until they are released, not only for the retention time.
    pub pin: bool,
    /// Read what is deduplicated against instead of trusting the index.
    pub check: bool,
}

impl Default for BatchOptions {
    fn default() -> Self {
        Self { pin: true, check: false }
    }
}

/// A place among a batch's results, for a blob that comes in pieces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StreamSlot(usize);

/// Blobs on their way into a store. Dropping it withdraws all of it: nothing of it is visible, nothing of it stays behind.
#[derive(Debug)]
pub struct Batch {
    pub(crate) store: Arc<Inner>,
    pub(crate) writer: Arc<Writer>,
    pub(crate) id: Id,
    pub(crate) options: BatchOptions,
    /// Which state of the index its look-ups have seen.
    pub(crate) generation: u64,
    /// How often segments had gone before.
    pub(crate) losses: u64,
    /// Whether the index was listed since it began.
    listed: bool,
    /// Whether notes and index were: before that it leans on nothing.
    fresh: bool,
    pub(crate) stage: Mutex<Stage>,
    pub(crate) known: Known,
    pub(crate) rows: Vec<Option<Row>>,
    pub(crate) blobs: ByDigest<Digest, super::recipe::Tree>,
    pub(crate) streams: BTreeMap<usize, Stream>,
    pub(crate) repeats: Repeats,
}

/// One result, as long as its batch is not committed.
#[derive(Debug)]
pub(crate) struct Row {
    pub(crate) key: Digest,
    pub(crate) size: u64,
    pub(crate) stored: u64,
    pub(crate) existed: bool,
    pub(crate) root: Option<Digest>,
    pub(crate) runs: Place,
    /// What of it another batch was writing when this one needed it.
    pub(crate) borrowed: Vec<Digest>,
}

impl Row {
    /// One chunk of this batch.
    pub(crate) fn own(key: Digest, size: u64) -> Self {
        Self { key, size, stored: 0, existed: false, root: None, runs: Place::Own, borrowed: Vec::new() }
    }
}

/// Where a row's blob stands.
#[derive(Debug)]
pub(crate) enum Place {
    /// One chunk of this batch: find it by its key.
    Own,
    /// Runs in committed packs or in this batch's own.
    Runs(Vec<Run>),
    /// Too scattered, or not known.
    Nowhere,
}

impl Batch {
    pub(crate) fn new(store: Arc<Inner>, writer: Arc<Writer>, options: BatchOptions) -> Result<Self> {
        let id = writer.id.new_id()?;
        let far = store.disk.reach().far;
        let mut batch = Self {
            store,
            writer,
            id,
            options,
            generation: 0,
            losses: 0,
            listed: false,
            fresh: false,
            stage: Mutex::default(),
            known: Known::new(options.check),
            rows: Vec::new(),
            blobs: ByDigest::default(),
            streams: BTreeMap::new(),
            repeats: Repeats::default(),
        };
        if far {
            // A small batch that leans on nothing asks for nothing before it is published, but for what others have of late.
            batch.store.notes.check_announced()?;
            batch.listed = !batch.store.levels.are_recent(RECENT);
            let levels = &batch.store.levels;
            let snapshot = if batch.listed { levels.refresh_checked()? } else { levels.snapshot()? };
            batch.generation = snapshot.generation;
            batch.losses = snapshot.losses;
        } else {
            batch.freshen()?;
        }
        Ok(batch)
    }

    /// Whether notes and index were listed since it began.
    pub(crate) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// List notes and index, once: what this process knows may have been damaged or lost since, and a batch leans only on segments that
    /// others can read, too.
    pub(crate) fn freshen(&mut self) -> Result<()> {
        if self.fresh {
            return Ok(());
        }
        let (notes, levels, disk) = (&self.store.notes, &self.store.levels, self.store.disk.as_ref());
        let snapshot = if disk.reach().far {
            notes.check_announced()?; // marks are listed in step 3
            let index = || if self.listed { levels.snapshot() } else { levels.refresh_checked() };
            let (damage, snapshot) = std::thread::scope(|scope| {
                let list = || notes.refresh_damage(disk);
                let beside = pipeline::helpers(scope, 1, list).pop(); // each is a request
                let snapshot = index();
                (beside.map_or_else(|| Ok(list()), ScopedJoinHandle::join), snapshot)
            });
            damage.map_err(|_| internal())??;
            snapshot?
        } else {
            notes.refresh(disk)?;
            levels.refresh_checked()?
        };
        self.generation = snapshot.generation;
        self.losses = snapshot.losses;
        self.fresh = true;
        Ok(())
    }

    /// The id under which its outcome can be asked for.
    pub fn id(&self) -> Id {
        self.id
    }

    /// How many results it will have.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether nothing was added yet.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Add blobs whose bytes do not change during the call. Results stand in the order of calls and items.
    ///
    /// # Errors
    /// `Cancelled`; the disk's errors. The batch is unusable after an error: drop it.
    pub fn add(&mut self, items: &[&[u8]], cancel: &Cancel) -> Result<()> {
        let items: Vec<Item<'_>> = items.iter().map(|&bytes| Item::from(bytes)).collect();
        self.add_items(&items, cancel)
    }

    /// The same for blobs of which some may change during the call: what is stored, and hashed, of those is a copy.
    ///
    /// # Errors
    /// As for `add`.
    pub fn add_items(&mut self, items: &[Item<'_>], cancel: &Cancel) -> Result<()> {
        let largest = self.store.settings.chunking.max as usize;
        let total = items.iter().fold(0_usize, |sum, item| sum.saturating_add(item.bytes.len()));
        let staged = lock(&self.stage).small.len();
        if staged.saturating_add(total) > SMALL_LIMIT || items.iter().any(|item| item.bytes.len() > largest) {
            self.freshen()?;
        }
        let store = Arc::clone(&self.store);
        let hands = store.crew.join(if total < ONE_THREAD { 1 } else { store.threads });
        let threads = hands.count();
        let mut seen = self.see(items, threads, cancel)?;
        let first = self.rows.len();
        let mut fresh: Vec<Whole<'_>> = Vec::new();
        let mut listed: ByDigest<Digest, ()> = ByDigest::default();
        let mut repeated = Vec::new();
        let known: Vec<_> = seen.iter_mut().map(|one| one.known.take()).collect();
        for ((item, one), known) in items.iter().zip(&seen).zip(known) {
            let at = self.rows.len();
            let key = one.key;
            let size = item.bytes.len() as u64;
            if let Some(known) = known {
                let row = self.known_row(key, size, known);
                self.rows.push(Some(row));
            } else if self.has(&key, item.bytes.len() > largest)? || listed.contains_key(&key) {
                self.rows.push(None);
                repeated.push((at, key, size));
            } else {
                listed.insert(key, ());
                self.rows.push(None);
                fresh.push(Whole { at, key, data: one.copy.as_deref().unwrap_or(item.bytes) });
            }
        }
        if !fresh.is_empty() {
            let done = Feed::new(self, fresh, largest)?.run(threads, cancel)?;
            for (at, row, tree) in done {
                if let Some(tree) = tree {
                    self.blobs.insert(row.key, tree);
                }
                *self.rows.get_mut(at).ok_or_else(internal)? = Some(row);
            }
        }
        for (at, key, size) in repeated {
            let row = self.repeat(key, size)?;
            *self.rows.get_mut(at).ok_or_else(internal)? = Some(row);
        }
        debug_assert!(self.rows.iter().skip(first).all(Option::is_some));
        Ok(())
    }

    /// Whether this batch has stored the blob already.
    fn has(&mut self, key: &Digest, large: bool) -> Result<bool> {
        Ok(if large { self.blobs.contains_key(key) } else { lock(&self.stage).ledger.find(key)?.is_some() })
    }

    /// A row for a blob that this batch has stored already, as a blob or as a chunk of one.
    pub(crate) fn repeat(&mut self, key: Digest, size: u64) -> Result<Row> {
        if let Some(tree) = self.blobs.get(&key) {
            return Ok(Row { existed: true, root: Some(tree.root), runs: Place::Nowhere, ..Row::own(key, size) });
        }
        let stage = self.stage.get_mut().unwrap_or_else(PoisonError::into_inner);
        if stage.ledger.find_root(&key)?.is_none() {
            stage.borrowed.get_mut(&key).ok_or_else(internal)?.1 = true;
        }
        Ok(Row { existed: true, ..Row::own(key, size) })
    }

    /// Reserve the next result for a blob that comes in pieces.
    pub fn begin_stream(&mut self) -> StreamSlot {
        let slot = StreamSlot(self.rows.len());
        self.rows.push(None);
        self.streams.insert(slot.0, Stream::default());
        slot
    }

    /// Add the next piece of a blob. One pass: it is cut, and both hashes taken, as it comes.
    ///
    /// # Errors
    /// As for `add`; `Invalid` when the slot is not open.
    pub fn write_stream(&mut self, slot: StreamSlot, piece: &[u8], cancel: &Cancel) -> Result<()> {
        self.freshen()?;
        let mut stream = self.streams.remove(&slot.0).ok_or_else(no_stream)?;
        stream.write(self, piece, cancel)?;
        self.streams.insert(slot.0, stream);
        Ok(())
    }

    /// End a blob that came in pieces.
    ///
    /// # Errors
    /// As for `write_stream`.
    pub fn end_stream(&mut self, slot: StreamSlot, cancel: &Cancel) -> Result<()> {
        self.freshen()?;
        let stream = self.streams.remove(&slot.0).ok_or_else(no_stream)?;
        let row = stream.end(self, cancel)?;
        *self.rows.get_mut(slot.0).ok_or_else(internal)? = Some(row);
        Ok(())
    }

    /// Every result is there: no stream is open.
    pub(crate) fn check_complete(&self) -> Result<()> {
        if self.streams.is_empty() && self.rows.iter().all(Option::is_some) {
            return Ok(());
        }
        Err(Error::new(Kind::Invalid, "open-stream", "commit a batch: a blob of it is still being written"))
    }

    /// The keys it saved that were there already.
    pub(crate) fn leaned_keys(&self) -> Vec<Digest> {
        self.known.blobs_leaned()
    }

    /// Add what stands in a pack that its commit wrote: one of its own or, where it is none of those, the one that small batches share.
    pub(crate) fn placed_in(&self, pack: &Id, needs: &mut Leaned) -> Result<()> {
        let stage = lock(&self.stage);
        let mut see = |placed: &Placed| {
            needs.insert((placed.digest, placed.kind));
            Ok(())
        };
        match stage.sealed.iter().position(|own| own == pack) {
            Some(own) => stage.each_of(own, &mut see),
            None => stage.ledger.recent().iter().filter(|placed| placed.pack == SMALL).try_for_each(see),
        }
    }

    /// The chunks it leans on, by pack.
    pub(crate) fn leaned(&self) -> ByDigest<Id, Leaned> {
        self.known.leaned()
    }
}

/// A small batch lists the index again when its process did so longer ago than this.
const RECENT: Duration = Duration::from_secs(10);
/// Below this many bytes a second thread costs more than it brings.
const ONE_THREAD: usize = 256 * 1024;
/// Bytes that one thread takes at a time.
pub(crate) const GRAIN: usize = 1024 * 1024;

fn no_stream() -> Error {
    Error::invalid("no-stream", "write to a blob of a batch: it is not open")
}

/// The runs of one chunk that has a place.
pub(crate) fn one_run(pack: PackRef, offset: u64, length: u64) -> Vec<Run> {
    let mut runs = Runs::default();
    runs.push(pack, offset, length);
    runs.finish()
}
