//! Keys and ids as Python writes them.

use packhouse_engine::Id;
use pyo3::prelude::*;

use crate::errors;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(*DIGITS.get(usize::from(nibble & 15)).unwrap_or(&b'?'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// The id of a batch.
pub(crate) fn id(py: Python<'_>, text: &str) -> PyResult<Id> {
    Id::from_hex(text).ok_or_else(|| {
        errors::invalid(py, "batch-id", &format!("a batch id is 32 lower-case hex digits, not {text:?}"))
    })
}
