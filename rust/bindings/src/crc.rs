//! Checksums of what Python sends, without the GIL.

use packhouse_engine::crc;
use pyo3::prelude::*;

use crate::buffers::View;
use crate::detach::detached;

/// CRC-32 as `zlib.crc32` has it, at the speed of memory.
#[pyfunction]
#[pyo3(signature = (data, before = 0))]
pub(crate) fn crc32(py: Python<'_>, data: &Bound<'_, PyAny>, before: u32) -> PyResult<u32> {
    of(py, data, |bytes| crc::crc32(bytes, before))
}

/// CRC-32C, at the speed of memory.
#[pyfunction]
#[pyo3(signature = (data, before = 0))]
pub(crate) fn crc32c(py: Python<'_>, data: &Bound<'_, PyAny>, before: u32) -> PyResult<u32> {
    of(py, data, |bytes| crc::crc32c(bytes, before))
}

fn of(py: Python<'_>, data: &Bound<'_, PyAny>, compute: impl FnOnce(&[u8]) -> u32 + Send) -> PyResult<u32> {
    let view = View::new(data, false)?;
    let bytes = view.changing();
    detached(py, || Ok(compute(bytes)))
}
