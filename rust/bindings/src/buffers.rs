//! The one place that touches memory which is not Rust's: buffers of callers, and results that are filled while the GIL is released.

use std::ffi::c_char;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::detach::give_way;
use crate::errors;

/// Bytes that are copied while holding the GIL before others get a turn: about a quarter of a millisecond.
const COPY: usize = 1 << 20;

/// A buffer of an object, C-contiguous, held until dropped (with the GIL).
pub(crate) struct View {
    raw: Box<ffi::Py_buffer>,
}

impl View {
    /// Take the buffer of any object that has one.
    pub(crate) fn new(object: &Bound<'_, PyAny>, writable: bool) -> PyResult<Self> {
        let flags = if writable { ffi::PyBUF_WRITABLE } else { ffi::PyBUF_SIMPLE };
        let mut raw = Box::new(ffi::Py_buffer::new());
        // SAFETY: `raw` is a valid, exclusively owned structure; the GIL is held; on failure nothing is held and nothing released.
        let failed = unsafe { ffi::PyObject_GetBuffer(object.as_ptr(), &raw mut *raw, flags) };
        if failed == -1 {
            return Err(PyErr::fetch(object.py()));
        }
        Ok(Self { raw })
    }

    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.raw.len).unwrap_or(0)
    }

    /// All bytes, where they stand, to be read while the GIL is released. Their owner may write to them meanwhile: what is read may be
    /// any mixture, and no two reads need agree.
    pub(crate) fn changing(&self) -> &[u8] {
        if self.len() == 0 {
            return &[]; // the pointer may be null
        }
        // SAFETY: the exporter keeps `len` bytes readable and in place while the buffer is held, and `u8` has no invalid values. A
        // write by their owner meanwhile is a data race, as it is for `hashlib`, which reads without the GIL, too: the engine only
        // hashes these bytes, cuts them, or copies them (`store::Item::changes`), and nothing it relies on is read from them twice.
        unsafe { std::slice::from_raw_parts(self.raw.buf.cast::<u8>().cast_const(), self.len()) }
    }

    /// Copy `len` bytes from `start` into Rust's memory, in slices between which other threads run.
    pub(crate) fn copy(&self, py: Python<'_>, start: usize, len: usize) -> PyResult<Vec<u8>> {
        let whole = start.checked_add(len).is_some_and(|stop| stop <= self.len());
        if !whole {
            return Err(errors::internal(py, "a buffer was asked for bytes past its end"));
        }
        let mut copied: Vec<u8> = Vec::new();
        if copied.try_reserve_exact(len).is_err() {
            return Err(pyo3::exceptions::PyMemoryError::new_err(()));
        }
        while copied.len() < len {
            let done = copied.len();
            let now = COPY.min(len.saturating_sub(done));
            // SAFETY: `start + done + now` lies within the buffer, which the exporter keeps in place while it is held;
            // `done + now` lies within the reserved capacity. Raw pointers, no references: the owner may write to these bytes
            // from a thread that does not hold the GIL, and then gets whatever mixture it made, as a memcpy in C would give.
            unsafe {
                let from = self.raw.buf.cast::<u8>().cast_const().add(start.saturating_add(done));
                ptr::copy_nonoverlapping(from, copied.as_mut_ptr().add(done), now);
                copied.set_len(done.saturating_add(now));
            }
            if copied.len() < len {
                give_way(py);
            }
        }
        Ok(copied)
    }

    /// The first `len` bytes, to be written to while the GIL is released.
    pub(crate) fn bytes_mut(&mut self, py: Python<'_>, len: usize) -> PyResult<&mut [u8]> {
        if self.raw.readonly != 0 || len > self.len() {
            return Err(errors::invalid(py, "buffer", "the buffer is read-only or too small"));
        }
        if len == 0 {
            return Ok(&mut []);
        }
        // SAFETY: the buffer is writable, at least `len` bytes long and stays in place while it is held. The caller promised that
        // nobody else touches it meanwhile (`load_into` says so).
        Ok(unsafe { std::slice::from_raw_parts_mut(self.raw.buf.cast::<u8>(), len) })
    }
}

impl Drop for View {
    fn drop(&mut self) {
        // SAFETY: `raw` was filled by PyObject_GetBuffer and is released once; views live on the stack of functions that hold a
        // `Python` token, so the GIL is held.
        unsafe { ffi::PyBuffer_Release(&raw mut *self.raw) };
    }
}

/// Memory of at least this many bytes is asked for in huge pages.
const HUGE: usize = 2 << 20;

/// Filling fresh memory costs a fault for each page, more than reading what fills it: 2 MiB at a time halves the time of a large load.
/// Only whole pages within the memory are asked for, so none is kept that would not be. To be called without the GIL: the system lets
/// this wait for faults of other threads, some milliseconds.
#[cfg(target_os = "linux")]
pub(crate) fn ask_for_huge_pages(memory: &mut [u8]) {
    let (start, len) = (memory.as_mut_ptr(), memory.len());
    let page = rustix::param::page_size();
    let skipped = start.align_offset(page);
    let Some(rest) = len.checked_sub(skipped).filter(|_| len >= HUGE) else { return };
    let whole = rest.saturating_sub(rest.checked_rem(page).unwrap_or(rest));
    // SAFETY: `skipped + whole <= len`, so the range lies within the object's memory. The advice changes no contents.
    let _ = unsafe { rustix::mm::madvise(start.add(skipped).cast(), whole, rustix::mm::Advice::LinuxHugepage) };
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn ask_for_huge_pages(_memory: &mut [u8]) {}

/// A `bytes` object that nobody has seen yet, and its memory, not yet written.
///
/// The memory is not initialised: zeroing first would cost as much as reading the blob. It must be filled, or the object
/// dropped, before Python sees it; `store::fetch` does one or the other for each.
pub(crate) struct Unfilled<'py> {
    object: Bound<'py, PyBytes>,
    start: *mut u8,
    len: usize,
}

impl<'py> Unfilled<'py> {
    pub(crate) fn new(py: Python<'py>, len: usize) -> PyResult<Self> {
        let size = ffi::Py_ssize_t::try_from(len).map_err(|_| pyo3::exceptions::PyMemoryError::new_err(()))?;
        // SAFETY: the GIL is held; a null pointer asks for an object with memory of that size, or null with an exception set.
        let object = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyBytes_FromStringAndSize(ptr::null(), size))? };
        let object = object.cast_into::<PyBytes>()?;
        // SAFETY: it is a `bytes` object, whose memory does not move as long as it lives.
        let start: *mut c_char = unsafe { ffi::PyBytes_AsString(object.as_ptr()) };
        let start: *mut u8 = start.cast();
        Ok(Self { object, start, len })
    }

    /// Its memory, for writing while the GIL is released.
    pub(crate) fn memory(&mut self) -> &mut [u8] {
        if self.len == 0 {
            return &mut []; // the one empty `bytes` is shared
        }
        // SAFETY: the object has `len` bytes, was made here and is known to nobody else, so this is the only reference; what
        // gets it only writes. `u8` has no invalid values, and nothing reads it before it is filled.
        unsafe { std::slice::from_raw_parts_mut(self.start, self.len) }
    }

    /// The same, to be filled by another thread.
    pub(crate) fn put_by(self) -> Awaiting {
        Awaiting { object: self.object.unbind(), len: self.len }
    }

    /// The object, now that all of it is written.
    pub(crate) fn filled(self) -> Bound<'py, PyBytes> {
        self.object
    }
}

/// An [`Unfilled`] object between the thread that made it and the one that fills it.
pub(crate) struct Awaiting {
    object: Py<PyBytes>,
    len: usize,
}

impl Awaiting {
    pub(crate) fn take_up(self, py: Python<'_>) -> Unfilled<'_> {
        let object = self.object.into_bound(py);
        // SAFETY: as in `Unfilled::new`.
        let start: *mut c_char = unsafe { ffi::PyBytes_AsString(object.as_ptr()) };
        Unfilled { object, start: start.cast(), len: self.len }
    }
}
