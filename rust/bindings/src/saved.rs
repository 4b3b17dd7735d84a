//! What became of a batch.

use packhouse_engine::store;
use pyo3::prelude::*;

use crate::detach::{SLICE, give_way};
use crate::errors;
use crate::text::hex;

/// The results of a committed batch, in the order in which its blobs were added.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Saved {
    pub(crate) rows: Vec<store::Saved>,
}

#[pymethods]
impl Saved {
    fn __len__(&self) -> usize {
        self.rows.len()
    }

    /// Make `make((key, size, stored_size, existed, locator))` of the results of a range; other threads run in between.
    fn take<'py>(
        &self,
        py: Python<'py>,
        start: usize,
        stop: usize,
        make: &Bound<'py, PyAny>,
    ) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let rows = self.rows.get(start..stop);
        let rows = rows.ok_or_else(|| errors::invalid(py, "range", "there are fewer results than that"))?;
        let mut made = Vec::with_capacity(rows.len());
        for slice in rows.chunks(SLICE) {
            if !made.is_empty() {
                give_way(py);
            }
            for row in slice {
                let locator = row.locator.as_ref().and_then(|locator| locator.to_text().ok());
                let fields = (hex(row.key.as_bytes()), row.size, row.stored, row.existed, locator);
                made.push(make.call1((fields,))?);
            }
        }
        Ok(made)
    }
}
