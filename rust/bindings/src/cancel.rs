//! The flag that stops native work.

use packhouse_engine::cancel;
use pyo3::prelude::*;

/// A flag that one thread raises and working threads look at.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Cancel {
    pub(crate) flag: cancel::Cancel,
}

#[pymethods]
impl Cancel {
    #[new]
    fn new() -> Self {
        Self { flag: cancel::Cancel::new() }
    }

    /// Ask for the end of every operation that was given this flag.
    fn cancel(&self) {
        self.flag.cancel();
    }

    /// Whether somebody asked to stop.
    fn is_cancelled(&self) -> bool {
        self.flag.is_cancelled()
    }
}
