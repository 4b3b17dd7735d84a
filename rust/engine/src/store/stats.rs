//! Plain counters of what a store object has done.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Store;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// What a store object has done since it was opened. Bytes and counts; nothing else.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Stats { $($(#[$doc])* pub $name: u64),* }

        /// The same, counting.
        #[derive(Debug, Default)]
        pub(crate) struct Counters { $(pub(crate) $name: AtomicU64),* }

        impl Counters {
            fn read(&self) -> Stats {
                Stats { $($name: self.$name.load(Ordering::Relaxed)),* }
            }
        }

        impl Stats {
            /// Names and values, in order.
            pub fn pairs(&self) -> Vec<(&'static str, u64)> {
                vec![$((stringify!($name), self.$name)),*]
            }
        }
    };
}

counters! {
    /// Blobs that were saved, known ones included.
    blobs_saved,
    /// Of these, blobs that were there already.
    blobs_known,
    /// Bytes of the blobs that were saved.
    bytes_saved,
    /// Bytes that were added to packs for them.
    bytes_stored,
    /// Commits that were published.
    commits,
    /// Batches in them.
    batches,
    /// Blobs that were loaded whole.
    blobs_loaded,
    /// Their bytes.
    bytes_loaded,
    /// Frames that were found damaged.
    damaged_frames,
    /// Merges of segments.
    merges,
}

/// Count.
pub(crate) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

impl Store {
    /// What this store object has done so far.
    pub fn stats(&self) -> Stats {
        self.inner.counters.read()
    }
}
