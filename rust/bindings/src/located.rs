//! Where blobs stand.

use packhouse_engine::store;
use pyo3::prelude::*;

use crate::errors;
use crate::room::Room;

/// Where blobs stand, in the order in which their keys were asked for.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Located {
    pub(crate) found: Vec<Option<store::Located>>,
}

#[pymethods]
impl Located {
    /// Memory for the blobs from `start` to before `stop`, for one `Store.fetch`.
    fn room(slf: &Bound<'_, Self>, start: usize, stop: usize) -> PyResult<Room> {
        Room::new(slf, start, stop)
    }

    /// Bytes of each blob; None where none was found.
    fn sizes(&self) -> Vec<Option<u64>> {
        self.found.iter().map(|one| one.as_ref().map(store::Located::size)).collect()
    }
}

impl Located {
    /// The blobs of a range, `None` for those that were not found.
    pub(crate) fn range(&self, py: Python<'_>, start: usize, stop: usize) -> PyResult<&[Option<store::Located>]> {
        self.found.get(start..stop).ok_or_else(|| errors::invalid(py, "range", "there are fewer blobs than that"))
    }

    /// One blob that was found.
    pub(crate) fn one(&self, py: Python<'_>, index: usize) -> PyResult<&store::Located> {
        let found = self.found.get(index).and_then(Option::as_ref);
        found.ok_or_else(|| errors::invalid(py, "range", "the blob was not found"))
    }
}
