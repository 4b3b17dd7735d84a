//! Spreading the system calls of a large batch over the cores.

use crate::store::pipeline;

/// From this many items on a thread is worth its start.
const WORTH_A_THREAD: usize = 256;
/// More threads only wait for the same folder.
const MOST_THREADS: usize = 4;

/// Let `work` go over runs of the items, each on a thread of its own; the results in the items' order. All threads have ended.
pub(super) fn spread<T: Send, R: Send>(items: &mut [T], work: impl Fn(&mut [T]) -> R + Sync) -> Vec<R> {
    let cores = pipeline::cores().min(MOST_THREADS);
    let run = items.len().div_ceil(cores).max(WORTH_A_THREAD);
    pipeline::spread(items, run, work)
}
