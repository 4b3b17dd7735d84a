//! The engine's errors as the exceptions of `packhouse.errors`.

use packhouse_engine::{Error, Id, Kind};
use pyo3::prelude::*;
use pyo3::types::PyDict;

/// The exception class of each class of error.
fn class(kind: Kind) -> &'static str {
    match kind {
        Kind::NotFound => "BlobNotFound",
        Kind::Corrupt => "CorruptBlob",
        Kind::Uncertain => "CommitUncertain",
        Kind::Invalid => "InvalidInput",
        Kind::Unsupported => "UnsupportedStore",
        Kind::NotAStore => "StoreNotFound",
        Kind::ReadOnly => "ReadOnlyStore",
        Kind::Conflict => "NameConflict",
        Kind::NameNotFound => "NameNotFound",
        Kind::Cancelled => "PackhouseError",
        Kind::Io => "StorageError",
    }
}

/// An engine's error as an exception.
pub(crate) fn exception(py: Python<'_>, error: &Error) -> PyErr {
    raise(py, class(error.kind()), &error.to_string(), error.cause(), error.os_code(), None)
}

/// A failed commit as an exception: one that is uncertain says which batch it was.
pub(crate) fn commit_exception(py: Python<'_>, error: &Error, batch: Id) -> PyErr {
    let batch = (error.kind() == Kind::Uncertain).then(|| batch.to_string());
    raise(py, class(error.kind()), &error.to_string(), error.cause(), error.os_code(), batch)
}

/// An argument that cannot be used.
pub(crate) fn invalid(py: Python<'_>, cause: &str, message: &str) -> PyErr {
    raise(py, "InvalidInput", message, cause, None, None)
}

/// A handle that is not open.
pub(crate) fn closed(py: Python<'_>, cause: &str, message: &str) -> PyErr {
    raise(py, "StoreClosed", message, cause, None, None)
}

/// A bug, told instead of taking the interpreter down.
pub(crate) fn internal(py: Python<'_>, message: &str) -> PyErr {
    raise(py, "PackhouseError", message, "internal", None, None)
}

fn raise(py: Python<'_>, class: &str, message: &str, cause: &str, errno: Option<i32>, batch: Option<String>) -> PyErr {
    let make = || -> PyResult<PyErr> {
        let named = PyDict::new(py);
        named.set_item("kind", cause)?;
        named.set_item("errno", errno)?;
        let error = py.import("packhouse.errors")?.getattr(class)?.call((message,), Some(&named))?;
        if let Some(batch) = batch {
            error.setattr("batch_id", batch)?;
        }
        Ok(PyErr::from_value(error))
    };
    make().unwrap_or_else(|failure| failure)
}
