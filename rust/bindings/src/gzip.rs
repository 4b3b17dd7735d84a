//! Blobs as one gzip file each.

use std::path::PathBuf;
use std::sync::Arc;

use packhouse_engine::disk::{Disk, RealDisk};
use packhouse_engine::gzip::{self, Found, GzipFiles as Files, Health, Loaded, Sha1Key};
use packhouse_engine::{Error, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::buffers::{Unfilled, View, ask_for_huge_pages};
use crate::cancel::Cancel;
use crate::detach::{SLICE, detached, give_way};
use crate::errors;
use crate::fork::Owned;

/// A folder of gzip files, one for each blob, named by the SHA-1 of its content.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct GzipFiles {
    files: Owned<Files>,
}

#[pymethods]
impl GzipFiles {
    /// The files in a folder, which is made if `create`; None when it is missing. New files are their owner's alone.
    #[staticmethod]
    fn open(py: Python<'_>, path: PathBuf, create: bool) -> PyResult<Option<Self>> {
        detached(py, || {
            let opened = if create { RealDisk::create(&path) } else { RealDisk::open(&path) };
            match opened {
                Ok(disk) => {
                    let disk: Arc<dyn Disk> = Arc::new(disk.private());
                    Ok(Some(Self { files: Owned::new(Files::new(disk)) }))
                }
                Err(error) if !create && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
                Err(error) => Err(Error::io("open", &path.to_string_lossy(), error)),
            }
        })
    }

    /// Begin a batch; with `check`, files that exist are read and compared as a whole.
    fn begin(&self, py: Python<'_>, check: bool) -> PyResult<GzipBatch> {
        let files = self.files(py)?;
        Ok(GzipBatch { inner: Owned::new(detached(py, || files.begin(check))?) })
    }

    /// Look for the files of keys of 40 hex digits.
    fn locate(&self, py: Python<'_>, keys: Vec<String>, cancel: &Cancel) -> PyResult<GzipFound> {
        let files = self.files(py)?;
        let found = detached(py, || files.locate(&parsed(&keys)?, &cancel.flag))?;
        Ok(GzipFound { found })
    }
}

impl GzipFiles {
    fn files(&self, py: Python<'_>) -> PyResult<Files> {
        self.files.check(py)?;
        let files = self.files.lock().clone();
        files.ok_or_else(|| errors::closed(py, "closed", "the folder is closed"))
    }
}

/// Blobs on their way into files; withdrawing it leaves nothing behind.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct GzipBatch {
    inner: Owned<gzip::GzipBatch>,
}

#[pymethods]
impl GzipBatch {
    /// Write what is not there yet; the keys of the blobs. With `raw`, new files hold the content as it is.
    fn add(&self, py: Python<'_>, items: Vec<Bound<'_, PyAny>>, raw: bool, cancel: &Cancel) -> PyResult<Vec<String>> {
        self.inner.check(py)?;
        let held = fixed(py, items)?;
        let blobs: Vec<&[u8]> = held.iter().map(Fixed::bytes).collect();
        let keys = detached(py, || {
            let inner = self.inner.lock();
            inner.as_ref().ok_or_else(over)?.add(&blobs, raw, &cancel.flag)
        })?;
        Ok(keys.iter().map(Sha1Key::to_string).collect())
    }

    /// Make everything durable and visible.
    fn commit(&self, py: Python<'_>) -> PyResult<()> {
        self.inner.check(py)?;
        detached(py, || self.inner.lock().take().ok_or_else(over)?.commit())
    }

    /// Remove what it has written; nothing to do once it is committed.
    fn withdraw(&self, py: Python<'_>) -> PyResult<()> {
        self.inner.check(py)?;
        detached(py, || {
            drop(self.inner.lock().take());
            Ok(())
        })
    }
}

/// Files that were looked for.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct GzipFound {
    found: Vec<Option<Found>>,
}

#[pymethods]
impl GzipFound {
    /// Files that were read elsewhere, for keys of 40 hex digits.
    #[staticmethod]
    fn of_bytes(py: Python<'_>, keys: Vec<String>, files: Vec<Bound<'_, PyAny>>) -> PyResult<Self> {
        let held = fixed(py, files)?;
        let bytes: Vec<&[u8]> = held.iter().map(Fixed::bytes).collect();
        let found = detached(py, || {
            let keys = parsed(&keys)?;
            keys.into_iter().zip(bytes).map(|(key, bytes)| Found::of_bytes(key, bytes).map(Some)).collect()
        })?;
        Ok(Self { found })
    }

    /// Bytes of each blob, as its file says; None where there is no file.
    fn sizes(&self) -> Vec<Option<u64>> {
        self.found.iter().map(|one| one.as_ref().map(Found::size)).collect()
    }

    /// "sound" for each blob that is what its key says, else "damaged", or "not described" where stock's code would misread it; None
    /// where there is no file. Bounded memory.
    fn inspect(&self, py: Python<'_>, cancel: &Cancel) -> PyResult<Vec<Option<&'static str>>> {
        let found = detached(py, || gzip::inspect(&self.found, &cancel.flag))?;
        let told = |one| match one {
            Health::Sound => "sound",
            Health::Undescribed => "not described",
            Health::Damaged => "damaged",
        };
        Ok(found.into_iter().map(|one| one.map(told)).collect())
    }

    /// Read whole blobs, verified: for each its bytes, None if there is no file, or its exception.
    fn fetch<'py>(&self, py: Python<'py>, start: usize, stop: usize, cancel: &Cancel) -> PyResult<Bound<'py, PyList>> {
        let wanted = self.found.get(start..stop);
        let wanted = wanted.ok_or_else(|| errors::invalid(py, "range", "there are fewer blobs than that"))?;
        let found: Vec<&Found> = wanted.iter().flatten().collect();
        let mut memory = Vec::with_capacity(found.len());
        for one in &found {
            if !memory.is_empty() && memory.len() % SLICE == 0 {
                give_way(py);
            }
            let size = usize::try_from(one.size()).map_err(|_| pyo3::exceptions::PyMemoryError::new_err(()))?;
            memory.push(Unfilled::new(py, size)?);
        }
        let mut places: Vec<&mut [u8]> = memory.iter_mut().map(Unfilled::memory).collect();
        let results = detached(py, || {
            places.iter_mut().for_each(|memory| ask_for_huge_pages(memory));
            Ok(gzip::fetch(&found, &mut places, &cancel.flag))
        })?;
        let mut read = memory.into_iter().zip(results);
        let list = PyList::empty(py);
        for one in wanted {
            match one.as_ref().and_then(|_| read.next()) {
                None => list.append(py.None())?,
                Some((bytes, Ok(Loaded::Filled))) => list.append(bytes.filled())?,
                Some((_, Ok(Loaded::Other(bytes)))) => list.append(PyBytes::new(py, &bytes))?,
                Some((_, Err(error))) => list.append(errors::exception(py, &error).into_value(py))?,
            }
        }
        Ok(list)
    }
}

/// The SHA-1 of blobs, as 40 hex digits.
#[pyfunction]
pub(crate) fn gzip_keys(py: Python<'_>, items: Vec<Bound<'_, PyAny>>, cancel: &Cancel) -> PyResult<Vec<String>> {
    let held = fixed(py, items)?;
    let blobs: Vec<&[u8]> = held.iter().map(Fixed::bytes).collect();
    let keys = detached(py, || gzip::keys(&blobs, &cancel.flag))?;
    Ok(keys.iter().map(Sha1Key::to_string).collect())
}

/// The gzip files of blobs, for stores that are no folder.
#[pyfunction]
pub(crate) fn gzip_pack<'py>(
    py: Python<'py>,
    items: Vec<Bound<'py, PyAny>>,
    cancel: &Cancel,
) -> PyResult<Vec<Bound<'py, PyBytes>>> {
    let held = fixed(py, items)?;
    let blobs: Vec<&[u8]> = held.iter().map(Fixed::bytes).collect();
    let packed = detached(py, || gzip::pack(&blobs, &cancel.flag))?;
    Ok(packed.iter().map(|bytes| PyBytes::new(py, bytes)).collect())
}

/// Bytes that do not change while the GIL is released.
enum Fixed<'py> {
    Bytes(Bound<'py, PyBytes>),
    Copied(Vec<u8>),
}

impl Fixed<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::Bytes(bytes) => bytes.as_bytes(),
            Self::Copied(bytes) => bytes,
        }
    }
}

fn fixed<'py>(py: Python<'py>, items: Vec<Bound<'py, PyAny>>) -> PyResult<Vec<Fixed<'py>>> {
    let fix = |item: Bound<'py, PyAny>| match item.cast_into::<PyBytes>() {
        Ok(bytes) => Ok(Fixed::Bytes(bytes)),
        Err(other) => {
            let view = View::new(&other.into_inner(), false)?;
            view.copy(py, 0, view.len()).map(Fixed::Copied)
        }
    };
    items.into_iter().map(fix).collect()
}

fn parsed(keys: &[String]) -> Result<Vec<Sha1Key>> {
    let parse = |key: &String| {
        Sha1Key::from_hex(key)
            .ok_or_else(|| Error::invalid("not-a-key", format!("a key is 40 lower-case hex digits here, not {key:?}")))
    };
    keys.iter().map(parse).collect()
}

fn over() -> Error {
    Error::invalid("batch", "the batch is committed or withdrawn already")
}
