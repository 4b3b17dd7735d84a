//! How many threads of a store work at once.

use std::sync::atomic::{AtomicUsize, Ordering};

/// As many threads as a store was given, shared by all calls that are under way.
///
/// Calls that each took them all would be more threads than cores: the caller's own thread (an event loop, as a rule) then waits for
/// its turn behind several of them, some milliseconds each, and nothing ends sooner.
#[derive(Debug)]
pub(crate) struct Crew {
    most: usize,
    /// Its threads wait for a network, not for a core: each call takes as many as it wants.
    far: bool,
    busy: AtomicUsize,
}

/// Threads that one call may use; given back when dropped.
#[derive(Debug)]
pub(crate) struct Hands<'a> {
    crew: &'a Crew,
    count: usize,
}

impl Crew {
    pub(crate) fn new(most: usize, far: bool) -> Self {
        Self { most: most.max(1), far, busy: AtomicUsize::new(0) }
    }

    /// Up to `wanted` threads, the caller's own among them: at least that one, whoever else is at work.
    pub(crate) fn join(&self, wanted: usize) -> Hands<'_> {
        let busy_here = |busy: usize| if self.far { 0 } else { busy };
        let share = |busy: usize| wanted.min(self.most.saturating_sub(busy_here(busy))).max(1);
        let take = |busy: usize| Some(busy.saturating_add(share(busy)));
        let busy = self.busy.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or_else(|busy| busy);
        Hands { crew: self, count: share(busy) }
    }
}

impl Hands<'_> {
    pub(crate) fn count(&self) -> usize {
        self.count
    }
}

impl Drop for Hands<'_> {
    fn drop(&mut self) {
        self.crew.busy.fetch_sub(self.count, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_at_once_share_the_threads_and_each_has_its_own() {
        let crew = Crew::new(4, false);
        let first = crew.join(3);
        let second = crew.join(3);
        let third = crew.join(3);
        assert_eq!((first.count(), second.count(), third.count()), (3, 1, 1));
        drop(first);
        assert_eq!(crew.join(3).count(), 2);
        drop((second, third));
        assert_eq!(crew.join(9).count(), 4);
    }
}
