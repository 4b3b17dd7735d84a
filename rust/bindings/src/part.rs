//! A piece of an object on its way out.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, ptr};

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

/// Mappings that are kept at most: one fills while another is let go.
const KEPT: usize = 2;
/// Bytes from which on a mapping is kept: the system takes a millisecond to take 8 MiB back, and longer to hand them out again.
const WORTH_KEEPING: usize = 1 << 20;

/// Memory of its own, which the system gets back at once.
#[derive(Debug)]
struct Mapping {
    start: *mut c_void,
    len: usize,
}

// SAFETY: memory that belongs to whoever has the value.
unsafe impl Send for Mapping {}
// SAFETY: shared, it is read at most: only the owner of the value can ask for its memory to write to.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(len: usize) -> io::Result<Self> {
        // SAFETY: a new mapping, wherever the system likes; it overlaps nothing.
        let start =
            unsafe { mmap_anonymous(ptr::null_mut(), len, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE) }?;
        Ok(Self { start, len })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and unmapped nowhere else.
        let _ = unsafe { munmap(self.start, self.len) };
    }
}

/// Mappings between two parts. Python lets parts go on the event loop, which need not wait for the system to take them back.
#[derive(Debug, Default)]
pub(crate) struct Spare(Mutex<Vec<Mapping>>);

impl Spare {
    /// A mapping for so many bytes, used or new.
    fn take(&self, len: usize) -> io::Result<Mapping> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match kept.iter().position(|mapping| mapping.len == len) {
            Some(at) => Ok(kept.swap_remove(at)),
            None => {
                drop(kept);
                Mapping::new(len)
            }
        }
    }

    /// Keep a mapping, unless there are enough. Never waits: Python lets parts go in a forked child, too, where nobody may be left who
    /// would unlock.
    fn keep(&self, mapping: Mapping) {
        let Ok(mut kept) = self.0.try_lock() else { return };
        if kept.len() < KEPT && mapping.len >= WORTH_KEEPING {
            kept.push(mapping);
        }
    }

    /// Give all back to the system. To be called without the GIL.
    pub(crate) fn clear(&self) {
        let kept = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        drop(kept);
    }
}

/// Bytes in a mapping of their own, which the next part gets, or the system, as soon as Python lets them go.
///
/// Megabytes that one thread asks the C library for and another frees stay with the first one's arena: a dozen threads that send parts in
/// turn kept several hundred of them (measured: 1 GiB saved in a bucket 20 ms away).
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Part {
    mapping: Option<Mapping>,
    len: usize,
    spare: Arc<Spare>,
}

impl Part {
    /// A copy of some bytes, not none. Needs no GIL.
    pub(crate) fn copy_of(bytes: &[u8], spare: &Arc<Spare>) -> io::Result<Self> {
        let len = bytes.len();
        let mapping = spare.take(len)?;
        // SAFETY: the mapping has `len` bytes, may be written to, and is known to nobody else: of a used one the part that had it is gone,
        // and with it every buffer of it.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), mapping.start.cast::<u8>(), len) };
        Ok(Self { mapping: Some(mapping), len, spare: Arc::clone(spare) })
    }
}

#[pymethods]
impl Part {
    /// # Safety
    /// Called by Python alone, with a structure to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let part = slf.get();
        let len = ffi::Py_ssize_t::try_from(part.len).map_err(|_| PyMemoryError::new_err(()))?;
        let start = part.mapping.as_ref().map_or(ptr::null_mut(), |mapping| mapping.start);
        // SAFETY: `view` is to be filled; the mapping has `len` bytes and lives as long as the object, of which the structure gets a
        // reference. It is handed out for reading only.
        let failed = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, len, 1, flags) };
        if failed == -1 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            self.spare.keep(mapping); // every buffer of it holds a reference to the object: there is none any more
        }
    }
}
