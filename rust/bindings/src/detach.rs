//! The one place that releases the GIL.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use packhouse_engine::Result;
use pyo3::prelude::*;

use crate::errors;
use crate::turns::LongTurns;

/// Items that are made while holding the GIL before others get a turn: about half a millisecond.
pub(crate) const SLICE: usize = 256;

/// Work without the GIL. A panic becomes an exception, an error becomes its own.
///
/// Ctrl-C: signal handlers run in the main thread, which never blocks here: calls come from worker threads, which are stopped by
/// their `Cancel`.
pub(crate) fn detached<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    // What the closure has borrowed is not looked at after a panic: batches are dropped, buffers undefined.
    let in_long_turns = || {
        let _turns = LongTurns::begin();
        work()
    };
    match py.detach(|| catch_unwind(AssertUnwindSafe(in_long_turns))) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(errors::exception(py, &error)),
        Err(_) => Err(errors::internal(py, "the engine stopped at a bug of its own: please report this")),
    }
}

/// Let another thread have the GIL. Releasing alone does not do: whoever releases and asks again at once wins against a
/// thread that has to wake up first.
pub(crate) fn give_way(py: Python<'_>) {
    py.detach(|| std::thread::sleep(Duration::from_micros(50)));
}
