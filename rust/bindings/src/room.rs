//! Memory for blobs that are about to be read.

use std::sync::{Mutex, PoisonError};

use pyo3::prelude::*;

use crate::buffers::{Awaiting, Unfilled};
use crate::detach::give_way;
use crate::errors;
use crate::located::Located;
use crate::store::size_of;

/// Memory of this many bytes is the system's own mapping, whichever thread asks; making one may keep the event loop waiting.
const LARGE: usize = 128 * 1024;

/// After so much of it others get the GIL: the system may have to find the first page of each, and take milliseconds for it.
const ASKED_AT_ONCE: usize = 2 << 20;

/// Memory for the blobs of a range of [`Located`], for one call of `Store.fetch`.
///
/// It is asked for in the thread that will let the blobs go, not in the one that fills them: the C library gives each thread an arena of
/// its own, and what one thread fills and another frees costs a page fault for every page, each time (measured: a third of the CPU time of
/// loading blobs of 10 KiB). That thread is the event loop's as a rule: it keeps the GIL, for it would wait for a worker to give it back.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Room {
    pub(crate) located: Py<Located>,
    pub(crate) start: usize,
    pub(crate) stop: usize,
    /// Of a large blob only its length: its memory is asked for by the thread that fills it.
    memory: Mutex<Option<Vec<Result<Awaiting, usize>>>>,
}

impl Room {
    pub(crate) fn new(located: &Bound<'_, Located>, start: usize, stop: usize) -> PyResult<Self> {
        let py = located.py();
        let wanted = located.get().range(py, start, stop)?;
        let mut memory = Vec::with_capacity(wanted.len());
        for one in wanted.iter().flatten() {
            let len = size_of(py, one.size())?;
            memory.push(if len < LARGE { Ok(Unfilled::new(py, len)?.put_by()) } else { Err(len) });
        }
        Ok(Self { located: located.clone().unbind(), start, stop, memory: Mutex::new(Some(memory)) })
    }

    /// The memory, once: who fills it hands it out.
    pub(crate) fn take<'py>(&self, py: Python<'py>) -> PyResult<Vec<Unfilled<'py>>> {
        let taken = self.memory.lock().unwrap_or_else(PoisonError::into_inner).take();
        let taken = taken.ok_or_else(|| errors::internal(py, "a room was filled before"))?;
        let mut memory = Vec::with_capacity(taken.len());
        let mut asked = 0_usize;
        for one in taken {
            memory.push(match one {
                Ok(small) => small.take_up(py),
                Err(len) => {
                    if asked >= ASKED_AT_ONCE {
                        give_way(py);
                        asked = 0;
                    }
                    asked = asked.saturating_add(len);
                    Unfilled::new(py, len)?
                }
            });
        }
        Ok(memory)
    }
}
