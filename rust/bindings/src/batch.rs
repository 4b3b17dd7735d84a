//! Blobs on their way in.

use packhouse_engine::store::{self, Item, StreamSlot};
use packhouse_engine::{Error, Id, Result};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::buffers::View;
use crate::cancel::Cancel;
use crate::detach::detached;
use crate::errors;
use crate::fork::Owned;

/// Buffers that may change are copied, where they are new, up to this size, and read in one pass above it.
const COPIED: usize = 16 << 20;
/// Bytes of a large buffer that are copied at once.
const PIECE: usize = 8 << 20;

/// Blobs on their way into the store; withdrawing it leaves nothing behind.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Batch {
    id: Id,
    inner: Owned<Filling>,
}

pub(crate) struct Filling {
    batch: store::Batch,
    slots: Vec<StreamSlot>,
}

/// What keeps bytes alive while the GIL is released.
enum Held<'py> {
    Bytes(Bound<'py, PyBytes>),
    View(View),
}

impl Batch {
    pub(crate) fn new(batch: store::Batch) -> Self {
        Self { id: batch.id(), inner: Owned::new(Filling { batch, slots: Vec::new() }) }
    }

    pub(crate) fn id(&self) -> Id {
        self.id
    }

    /// Take the engine's batch away, to commit it.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<store::Batch> {
        self.inner.check(py)?;
        let taken = detached(py, || Ok(self.inner.lock().take()))?;
        taken.map(|filling| filling.batch).ok_or_else(|| errors::exception(py, &over()))
    }

    /// Work on the batch without the GIL.
    fn work<T: Send>(&self, py: Python<'_>, work: impl FnOnce(&mut Filling) -> Result<T> + Send) -> PyResult<T> {
        self.inner.check(py)?;
        detached(py, || work(self.inner.lock().as_mut().ok_or_else(over)?))
    }

    fn add_held(&self, py: Python<'_>, held: &[Held<'_>], cancel: &Cancel) -> PyResult<()> {
        if held.is_empty() {
            return Ok(());
        }
        let items: Vec<Item<'_>> = held
            .iter()
            .map(|item| match item {
                Held::Bytes(bytes) => Item { bytes: bytes.as_bytes(), changes: false },
                Held::View(view) => Item { bytes: view.changing(), changes: true },
            })
            .collect();
        self.work(py, |filling| filling.batch.add_items(&items, &cancel.flag))
    }

    /// A large buffer that may change: what is not there already is read in one pass, so that what is hashed is what is stored.
    fn add_view(&self, py: Python<'_>, view: &View, cancel: &Cancel) -> PyResult<()> {
        let bytes = view.changing();
        if self.work(py, |filling| filling.batch.add_known(bytes, &cancel.flag))? {
            return Ok(());
        }
        let slot = self.begin_stream(py)?;
        let mut start = 0_usize;
        while start < view.len() {
            let len = PIECE.min(view.len().saturating_sub(start));
            let piece = view.copy(py, start, len)?;
            self.work(py, |filling| {
                let slot = slot_of(filling, slot)?;
                filling.batch.write_stream(slot, &piece, &cancel.flag)
            })?;
            start = start.saturating_add(len);
        }
        self.end_stream(py, slot, cancel)
    }
}

#[pymethods]
impl Batch {
    /// The batch's id, 32 hex digits.
    #[getter(id)]
    fn id_text(&self) -> String {
        self.id.to_string()
    }

    /// Add blobs; `bytes` are used where they stand, of other buffers what is new is copied or, when large, read in one pass.
    fn add(&self, py: Python<'_>, items: Vec<Bound<'_, PyAny>>, cancel: &Cancel) -> PyResult<()> {
        let mut held = Vec::with_capacity(items.len());
        for item in items {
            match item.cast_into::<PyBytes>() {
                Ok(bytes) => held.push(Held::Bytes(bytes)),
                Err(other) => {
                    let view = View::new(&other.into_inner(), false)?;
                    if view.len() <= COPIED {
                        held.push(Held::View(view));
                    } else {
                        self.add_held(py, &held, cancel)?;
                        held.clear();
                        self.add_view(py, &view, cancel)?;
                    }
                }
            }
        }
        self.add_held(py, &held, cancel)
    }

    /// Begin a blob that comes in pieces; its result stands where this was called.
    fn begin_stream(&self, py: Python<'_>) -> PyResult<usize> {
        self.work(py, |filling| {
            filling.slots.push(filling.batch.begin_stream());
            Ok(filling.slots.len().saturating_sub(1))
        })
    }

    /// Add the next piece.
    fn write_stream(&self, py: Python<'_>, slot: usize, piece: Bound<'_, PyAny>, cancel: &Cancel) -> PyResult<()> {
        let write = |bytes: &[u8]| {
            self.work(py, |filling| {
                let slot = slot_of(filling, slot)?;
                filling.batch.write_stream(slot, bytes, &cancel.flag)
            })
        };
        match piece.cast_into::<PyBytes>() {
            Ok(bytes) => write(bytes.as_bytes()),
            Err(other) => {
                let view = View::new(&other.into_inner(), false)?;
                write(&view.copy(py, 0, view.len())?)
            }
        }
    }

    /// End a blob that came in pieces.
    fn end_stream(&self, py: Python<'_>, slot: usize, cancel: &Cancel) -> PyResult<()> {
        self.work(py, |filling| {
            let slot = slot_of(filling, slot)?;
            filling.batch.end_stream(slot, &cancel.flag)
        })
    }

    /// Remove what it has written; nothing to do once it is committed or withdrawn.
    fn withdraw(&self, py: Python<'_>) -> PyResult<()> {
        self.inner.check(py)?;
        detached(py, || {
            drop(self.inner.lock().take());
            Ok(())
        })
    }
}

fn slot_of(filling: &Filling, slot: usize) -> Result<StreamSlot> {
    filling.slots.get(slot).copied().ok_or_else(|| Error::invalid("stream", "no such stream in this batch"))
}

fn over() -> Error {
    Error::invalid("batch", "the batch is committed or withdrawn already")
}
