//! The caller's wish to stop, seen between system calls.

use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use crate::{Error, Result};

/// How long one waits for a lock before it is seen whether the caller still wants it.
const PATIENCE: Duration = Duration::from_millis(1);

thread_local! {
    /// On whose behalf this thread works.
    static HERE: RefCell<Option<Cancel>> = const { RefCell::new(None) };
}

/// A flag that one thread raises and working threads look at. Clones share it; once raised it stays so.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// A flag that nobody has raised.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ask for the end of every operation that holds a clone.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// Whether somebody asked to stop.
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Go on, or stop here.
    ///
    /// # Errors
    /// `Kind::Cancelled` once somebody asked to stop.
    pub fn check(&self) -> Result<()> {
        if self.is_cancelled() { Err(Error::cancelled()) } else { Ok(()) }
    }
    /// Work on behalf of whoever may raise the flag, in this thread and in those that it starts: what carries objects gives a read up once
    /// the flag is raised. A write is never given up so.
    pub fn during<R>(&self, work: impl FnOnce() -> R) -> R {
        serving(Some(self.clone()), work)
    }

    /// The flag of whoever this thread works for.
    pub fn here() -> Option<Self> {
        HERE.with_borrow(Clone::clone)
    }

    /// Go on, or stop here, if whoever this thread works for has raised the flag.
    ///
    /// # Errors
    /// `Kind::Cancelled` once somebody asked to stop.
    pub(crate) fn check_here() -> Result<()> {
        Self::here().map_or(Ok(()), |flag| flag.check())
    }
}

/// Work on behalf of whoever may raise `flag`; of nobody who could give it up, where it is `None`: others have seen its effect.
pub(crate) fn serving<R>(flag: Option<Cancel>, work: impl FnOnce() -> R) -> R {
    struct Back(Option<Cancel>);
    impl Drop for Back {
        fn drop(&mut self) {
            HERE.set(self.0.take());
        }
    }
    let _back = Back(HERE.replace(flag));
    work()
}

/// Take a lock whose holder may wait for a request.
///
/// # Errors
/// `Kind::Cancelled` once whoever this thread works for asked to stop.
pub(crate) fn lock_unless_cancelled<T>(mutex: &Mutex<T>) -> Result<MutexGuard<'_, T>> {
    let Some(flag) = Cancel::here() else { return Ok(mutex.lock().unwrap_or_else(PoisonError::into_inner)) };
    loop {
        match mutex.try_lock() {
            Ok(held) => return Ok(held),
            Err(TryLockError::Poisoned(held)) => return Ok(held.into_inner()),
            Err(TryLockError::WouldBlock) => flag.check()?,
        }
        std::thread::sleep(PATIENCE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_works_for_one_caller_until_it_returns() {
        let flag = Cancel::new();
        flag.cancel();
        flag.during(|| {
            assert!(Cancel::check_here().is_err());
            serving(None, || assert!(Cancel::check_here().is_ok()));
            assert!(Cancel::check_here().is_err());
        });
        assert!(Cancel::here().is_none());
    }

    #[test]
    fn who_waits_for_a_lock_can_give_up() {
        let (held, flag) = (Mutex::new(()), Cancel::new());
        let _holder = held.lock().unwrap();
        flag.cancel();
        assert!(flag.during(|| lock_unless_cancelled(&held).is_err()));
    }
}
