//! A store: open, save, commit, load, verify.
//!
//! Write order, everywhere: packs, then the segment (the commit), then names; what is deleted goes in reverse.

mod anatomy;
mod answer;
mod apart;
mod batch;
mod by_runs;
mod commit;
mod confirm;
mod copied;
mod crew;
mod documents;
mod feed;
mod fetch;
mod frames;
mod items;
mod known;
mod ledger;
mod listing;
mod locate;
mod merge;
mod neighbours;
mod notes;
mod open;
mod packs;
mod pending;
pub(crate) mod pipeline;
mod place;
mod publish;
mod recipe;
mod runs;
mod seal;
mod stage;
mod stats;
mod stream;
mod survey;
mod verify;
mod writer;

use std::sync::{Arc, Mutex, OnceLock};

pub use anatomy::Anatomy;
pub use batch::{Batch, BatchOptions, StreamSlot};
pub use commit::Saved;
pub use items::Item;
pub use listing::Listed;
pub use locate::Located;
pub use open::OpenOptions;
pub use stats::Stats;
pub use survey::{BUCKETS, Survey};
pub use verify::{Finding, VerifyReport};

use crate::codec::{Decoder, Encoder};
use crate::disk::Disk;
use crate::format::settings::Settings;
use crate::index::levels::Levels;
use crate::{Error, Kind, Result};
use pipeline::lock;

/// An open store. Cheap to clone; every method may be called from any thread.
#[derive(Clone, Debug)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) settings: Settings,
    pub(crate) writable: bool,
    pub(crate) threads: usize,
    pub(crate) crew: crew::Crew,
    pub(crate) entries_in_memory: usize,
    pub(crate) pack_target: u64,
    pub(crate) levels: Levels,
    pub(crate) packs: packs::Packs,
    pub(crate) neighbours: neighbours::Neighbours,
    pub(crate) notes: notes::Notes,
    pub(crate) pending: pending::Pending,
    pub(crate) writer: Mutex<Option<Arc<writer::Writer>>>,
    /// The failed sync after which this object writes no more.
    pub(crate) poison: OnceLock<Error>,
    pub(crate) counters: stats::Counters,
    pub(crate) adopted: listing::Adopted,
    encoders: Mutex<Vec<Encoder>>,
    decoders: Mutex<Vec<Decoder>>,
}

impl Store {
    /// The settings it was created with.
    pub fn settings(&self) -> &Settings {
        &self.inner.settings
    }

    /// Begin a batch.
    ///
    /// # Errors
    /// `ReadOnly`, `Unsupported`; the disk's errors at the first write.
    pub fn begin(&self, options: BatchOptions) -> Result<Batch> {
        let writer = self.inner.writer()?;
        Batch::new(Arc::clone(&self.inner), writer, options)
    }

    /// Close open files and give the writer's lock back. A store that is only dropped does the same; what fails then is not told.
    ///
    /// # Errors
    /// The disk's errors.
    pub fn close(&self) -> Result<()> {
        self.inner.packs.close();
        self.inner.retire()
    }

    /// The writer's id, drawn if there was none: named documents begin their versions with it.
    ///
    /// # Errors
    /// As for `begin`.
    pub fn writer_id(&self) -> Result<crate::WriterId> {
        Ok(self.inner.writer()?.id)
    }

    /// The disk it stands on.
    pub fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.inner.disk)
    }
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("disk", &self.disk).field("writable", &self.writable).finish_non_exhaustive()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Nobody is left to be told.
        let _ = self.retire();
    }
}

impl Inner {
    /// Work with a compressor of the pool.
    pub(crate) fn with_encoder<R>(&self, work: impl FnOnce(&mut Encoder) -> Result<R>) -> Result<R> {
        with(&self.encoders, || Encoder::new(self.settings.zstd_level), work)
    }

    /// Work with a decompressor of the pool.
    pub(crate) fn with_decoder<R>(&self, work: impl FnOnce(&mut Decoder) -> Result<R>) -> Result<R> {
        with(&self.decoders, Decoder::new, work)
    }
}

/// Tools are made as they are needed; more than this many are not kept.
const KEPT: usize = 16;

/// Take a tool out of a pool, or make one, and put it there when the work is done.
fn with<T, R>(
    pool: &Mutex<Vec<T>>,
    make: impl FnOnce() -> Result<T>,
    work: impl FnOnce(&mut T) -> Result<R>,
) -> Result<R> {
    let kept = lock(pool).pop();
    let mut tool = kept.map_or_else(make, Ok)?;
    let result = work(&mut tool);
    let mut pool = lock(pool);
    if pool.len() < KEPT {
        pool.push(tool);
    }
    result
}

/// An invariant of the engine does not hold: a bug, told instead of panicking.
pub(crate) fn internal() -> Error {
    Error::new(Kind::Corrupt, "internal", "an invariant of the engine does not hold: please report this")
}
