//! `packhouse._engine`: the engine seen from Python.

use pyo3::prelude::*;

/// The storage engine of packhouse.
#[pymodule]
mod _engine {}
