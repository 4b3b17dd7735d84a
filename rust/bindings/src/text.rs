//! Keys and ids as Python writes them.

use packhouse_engine::Id;
use pyo3::prelude::*;
use pyo3::types::{PyList, PyString};

use crate::errors;

const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// Lower-case hex digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from(*DIGITS.get(usize::from(nibble & 15)).unwrap_or(&b'?'));
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

/// How many objects at the beginning of a list are keys: a `str` of 64 lower-case hex digits.
#[pyfunction]
pub(crate) fn count_keys(objects: &Bound<'_, PyList>) -> usize {
    let is_key = |object: &Bound<'_, PyAny>| {
        let text = object.cast_exact::<PyString>().ok().and_then(|text| text.to_str().ok());
        text.is_some_and(|text| text.len() == 64 && text.bytes().all(|c| matches!(c, b'0'..=b'9' | b'a'..=b'f')))
    };
    objects.iter().take_while(is_key).count()
}

/// The id of a batch.
pub(crate) fn id(py: Python<'_>, text: &str) -> PyResult<Id> {
    Id::from_hex(text).ok_or_else(|| {
        errors::invalid(py, "batch-id", &format!("a batch id is 32 lower-case hex digits, not {text:?}"))
    })
}
