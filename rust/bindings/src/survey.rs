//! What a store holds, as dicts.

use packhouse_engine::store::{Anatomy, Survey};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// One key for each named field.
macro_rules! dict {
    ($py:expr, $from:expr, $($field:ident),* $(,)?) => {{
        let told = PyDict::new($py);
        $(told.set_item(stringify!($field), $from.$field)?;)*
        told
    }};
}

/// A survey's sums; chunks by size as tuples.
pub(crate) fn survey<'py>(py: Python<'py>, sums: &Survey) -> PyResult<Bound<'py, PyDict>> {
    let told = dict!(
        py,
        sums,
        segments,
        index_bytes,
        packs,
        pack_bytes,
        blobs,
        blob_bytes,
        large_blobs,
        chunks,
        chunk_bytes,
        stored_bytes,
        raw_chunks,
        raw_bytes,
        nodes,
        node_bytes,
        surplus,
        surplus_bytes,
        damage_notes,
        unreadable,
    );
    told.set_item("sizes", pyo3::types::PyTuple::new(py, sums.sizes)?)?;
    told.set_item("size_bytes", pyo3::types::PyTuple::new(py, sums.size_bytes)?)?;
    Ok(told)
}

/// One blob, taken apart.
pub(crate) fn anatomy<'py>(py: Python<'py>, blob: &Anatomy) -> PyResult<Bound<'py, PyDict>> {
    Ok(dict!(
        py,
        blob,
        size,
        chunks,
        repeated_chunks,
        repeated_bytes,
        known_chunks,
        known_bytes,
        stored_bytes,
        raw_bytes,
        nodes,
        packs,
        surplus_chunks,
        bad_chunks,
    ))
}
