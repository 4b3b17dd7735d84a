//! What belongs to the process that made it. A forked child refuses it, and never cleans up behind its parent's back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use pyo3::prelude::*;

use crate::errors;

/// A value that only the process that made it may use, until it is taken away.
pub(crate) struct Owned<T> {
    process: u32,
    value: Mutex<Option<T>>,
}

impl<T> Owned<T> {
    pub(crate) fn new(value: T) -> Self {
        Self { process: std::process::id(), value: Mutex::new(Some(value)) }
    }

    /// Refuse in a forked child.
    pub(crate) fn check(&self, py: Python<'_>) -> PyResult<()> {
        if std::process::id() == self.process {
            return Ok(());
        }
        Err(errors::closed(py, "forked", "the store was opened before the process forked: open it anew"))
    }

    /// The value, `None` once it was taken. Lock it without the GIL: who holds it may be waiting for the GIL.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<T>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        if std::process::id() != self.process {
            // Files and locks are the parent's: dropping would remove them under its feet.
            std::mem::forget(self.lock().take());
        }
    }
}
