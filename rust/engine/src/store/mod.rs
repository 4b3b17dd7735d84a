//! A store: open, save, commit, load, verify.
//!
//! Write order, everywhere: packs, then the segment (the commit), then names; what is deleted goes in reverse.

mod anatomy;
mod answer;
mod batch;
mod by_runs;
mod commit;
mod confirm;
mod copied;
mod crew;
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

use std::ops::{Deref, DerefMut};
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

    /// What to call it in messages.
    pub fn describe(&self) -> String {
        self.inner.disk.describe()
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
    /// A compressor; it goes back to its pool when dropped.
    pub(crate) fn encoder(&self) -> Result<Lent<'_, Encoder>> {
        let kept = lock(&self.encoders).pop();
        let tool = match kept {
            Some(tool) => tool,
            None => Encoder::new(self.settings.zstd_level)?,
        };
        Ok(Lent { tool: Some(tool), pool: &self.encoders })
    }

    /// A decompressor; it goes back to its pool when dropped.
    pub(crate) fn decoder(&self) -> Result<Lent<'_, Decoder>> {
        let kept = lock(&self.decoders).pop();
        let tool = match kept {
            Some(tool) => tool,
            None => Decoder::new()?,
        };
        Ok(Lent { tool: Some(tool), pool: &self.decoders })
    }
}

/// A tool out of a pool.
pub(crate) struct Lent<'a, T> {
    tool: Option<T>,
    pool: &'a Mutex<Vec<T>>,
}

/// Tools are made as they are needed; more than this many are not kept.
const KEPT: usize = 16;

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let mut pool = lock(self.pool);
        if let (Some(tool), true) = (self.tool.take(), pool.len() < KEPT) {
            pool.push(tool);
        }
    }
}

impl<T> Deref for Lent<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match &self.tool {
            Some(tool) => tool,
            None => unreachable!("the tool leaves in drop only"),
        }
    }
}

impl<T> DerefMut for Lent<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.tool {
            Some(tool) => tool,
            None => unreachable!("the tool leaves in drop only"),
        }
    }
}

/// An invariant of the engine does not hold: a bug, told instead of panicking.
pub(crate) fn internal() -> Error {
    Error::new(Kind::Corrupt, "internal", "an invariant of the engine does not hold: please report this")
}
