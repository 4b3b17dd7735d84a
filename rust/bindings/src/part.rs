//! A piece of an object on its way, out or in.

use std::ffi::{c_int, c_void};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, ptr, slice};

use pyo3::exceptions::PyMemoryError;
use pyo3::ffi;
use pyo3::prelude::*;
use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use crate::buffers::ask_for_huge_pages;

/// Mappings that are kept for the next: about as many as an upload, or a load, has at a time. Fewer cost a third of a second a GiB saved.
const KEPT: usize = 8;

/// A mapping is this long, or a multiple of it: one that is kept fits what comes next.
const GRAIN: usize = 1 << 20;

/// Bytes in a mapping of their own, which belong to no thread.
///
/// Megabytes that one thread asks the C library for and another frees stay with the first one's arena: a dozen threads that send parts in
/// turn kept several hundred of them (measured: 1 GiB saved in a bucket 20 ms away).
struct Mapping {
    start: *mut c_void,
    capacity: usize,
}

// SAFETY: the memory belongs to no thread, and is unmapped once, by whoever drops it.
unsafe impl Send for Mapping {}
// SAFETY: a mapping by itself reads and writes nothing; see `Memory` for who does.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn new(capacity: usize) -> io::Result<Self> {
        // SAFETY: a new mapping, wherever the system likes; it overlaps nothing.
        let start = unsafe {
            mmap_anonymous(ptr::null_mut(), capacity, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
        }?;
        // SAFETY: the mapping is as long, may be written to, and is known to nobody else yet.
        ask_for_huge_pages(unsafe { slice::from_raw_parts_mut(start.cast::<u8>(), capacity) });
        Ok(Self { start, capacity })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: mapped by `new` with this length, and unmapped nowhere else; whoever looks at it keeps it.
        let _ = unsafe { munmap(self.start, self.capacity) };
    }
}

/// Large mappings that nobody holds: filling fresh ones costs clearing every page first.
#[derive(Default)]
pub(crate) struct Spare {
    kept: Mutex<Vec<Mapping>>,
}

impl Spare {
    /// Memory of so many bytes, not none: zeros, or what stood there before.
    fn memory(self: &Arc<Self>, len: usize) -> io::Result<Memory> {
        let capacity = if len < GRAIN { len } else { len.checked_next_multiple_of(GRAIN).unwrap_or(len) };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at_hand = kept.iter().position(|mapping| mapping.capacity == capacity).map(|at| kept.swap_remove(at));
        drop(kept);
        let mapping = at_hand.map_or_else(|| Mapping::new(capacity), Ok)?;
        Ok(Memory { mapping: Some(mapping), len, spare: Arc::clone(self) })
    }

    /// Keep a mapping, in place of the oldest if there are enough. Never waits: Python lets parts go in a forked child, too, where nobody
    /// may be left who would unlock.
    fn keep(&self, mapping: Mapping) {
        if mapping.capacity < GRAIN {
            return;
        }
        let Ok(mut kept) = self.kept.try_lock() else { return };
        let oldest = (kept.len() >= KEPT).then(|| kept.remove(0));
        kept.push(mapping);
        drop(kept);
        drop(oldest);
    }
}

/// Bytes that are written by one holder, and read once that has ended.
struct Memory {
    /// There until it is dropped.
    mapping: Option<Mapping>,
    len: usize,
    spare: Arc<Spare>,
}

impl Memory {
    fn start(&self) -> *mut u8 {
        self.mapping.as_ref().map_or(ptr::null_mut(), |mapping| mapping.start.cast())
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(mapping) = self.mapping.take() {
            self.spare.keep(mapping);
        }
    }
}

/// Bytes that Python sees: full ones to be sent, or room for what comes.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Part {
    memory: Arc<Memory>,
    writable: bool,
}

impl Part {
    /// Room for so many bytes, not none, and what holds them when they have come. Needs no GIL.
    pub(crate) fn room(len: usize, spare: &Arc<Spare>) -> io::Result<(Self, Coming)> {
        let memory = Arc::new(spare.memory(len)?);
        Ok((Self { memory: Arc::clone(&memory), writable: true }, Coming(memory)))
    }
}

/// Memory of a part that Python has not seen yet.
pub(crate) struct Filling(Memory);

impl Filling {
    /// Room for so many bytes, not none. Needs no GIL.
    pub(crate) fn new(len: usize, spare: &Arc<Spare>) -> io::Result<Self> {
        spare.memory(len).map(Self)
    }

    pub(crate) fn bytes(&mut self) -> &mut [u8] {
        // SAFETY: the memory has `len` bytes, zeros or what stood there before, and nobody else knows of it.
        unsafe { slice::from_raw_parts_mut(self.0.start(), self.0.len) }
    }

    /// Its first bytes, as many as there are, to be read by Python.
    pub(crate) fn part(mut self, count: usize) -> Part {
        self.0.len = self.0.len.min(count);
        Part { memory: Arc::new(self.0), writable: false }
    }
}

/// Bytes that Python is asked to write.
pub(crate) struct Coming(Arc<Memory>);

impl Coming {
    /// They have come: whoever was asked to write them has ended, and writes no more.
    pub(crate) fn come(self) -> Come {
        Come(self.0)
    }
}

/// Bytes that Python has written.
pub(crate) struct Come(Arc<Memory>);

impl AsRef<[u8]> for Come {
    fn as_ref(&self) -> &[u8] {
        // SAFETY: the memory has `len` bytes and lives as long as this; nobody writes to it any more, as `come` was told.
        unsafe { slice::from_raw_parts(self.0.start().cast_const(), self.0.len) }
    }
}

#[pymethods]
impl Part {
    /// # Safety
    /// Called by Python alone, with a structure to fill.
    unsafe fn __getbuffer__(slf: Bound<'_, Self>, view: *mut ffi::Py_buffer, flags: c_int) -> PyResult<()> {
        let part = slf.get();
        let len = ffi::Py_ssize_t::try_from(part.memory.len).map_err(|_| PyMemoryError::new_err(()))?;
        let read_only = c_int::from(!part.writable);
        let start = part.memory.start().cast::<c_void>();
        // SAFETY: `view` is to be filled; the memory has `len` bytes and lives as long as the object, of which the structure gets a
        // reference.
        let failed = unsafe { ffi::PyBuffer_FillInfo(view, slf.as_ptr(), start, len, read_only, flags) };
        if failed == -1 { Err(PyErr::fetch(slf.py())) } else { Ok(()) }
    }
}
