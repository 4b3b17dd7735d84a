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

    /// Call `work` on behalf of whoever may raise this flag; what it returns.
    fn during<'py>(&self, work: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.flag.during(|| work.call0())
    }

    /// The flag of whoever this thread works for.
    #[staticmethod]
    fn here() -> Option<Self> {
        cancel::Cancel::here().map(|flag| Self { flag })
    }

    /// Whether somebody asked to stop.
    fn is_cancelled(&self) -> bool {
        self.flag.is_cancelled()
    }
}
