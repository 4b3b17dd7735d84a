//! An open store.

use std::collections::HashMap;
use std::sync::Arc;

use packhouse_engine::format::locator::Locator;
use packhouse_engine::store::{self, BatchOptions};
use packhouse_engine::{Digest, Error, Kind, Result};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::batch::Batch;
use crate::buffers::{Unfilled, View, ask_for_huge_pages};
use crate::cancel::Cancel;
use crate::detach::detached;
use crate::disk::Disk;
use crate::errors;
use crate::fork::Owned;
use crate::located::Located;
use crate::room::Room;
use crate::saved::Saved;
use crate::settings;
use crate::survey;
use crate::text;

/// 4 MiB of entries: those of about 3 GiB in large blobs.
const ENTRIES_IN_MEMORY: usize = 1 << 16;
/// 256 MiB.
const PACK_TARGET: u64 = 256 << 20;

/// An open store: blocking calls for worker threads.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Store {
    inner: Owned<store::Store>,
}

impl Store {
    /// A blob whose locator named another size than it has: read as if there were none.
    fn by_the_index<'py>(&self, py: Python<'py>, key: Digest, cancel: &Cancel) -> PyResult<Bound<'py, PyBytes>> {
        let engine = self.engine(py)?;
        let found = detached(py, || engine.locate(&[(key, None)], &cancel.flag))?.pop().flatten();
        let gone = || Error::new(Kind::NotFound, "blob-not-found", format!("load {key}: no such blob"));
        let found = found.ok_or_else(|| errors::exception(py, &gone()))?;
        let mut bytes = Unfilled::new(py, size_of(py, found.size())?)?;
        let memory = bytes.memory();
        detached(py, || {
            ask_for_huge_pages(memory);
            engine.fetch(&[&found], &mut [memory], &cancel.flag).into_iter().collect::<Result<Vec<()>>>()
        })?;
        Ok(bytes.filled())
    }

    /// A handle on the engine's store, which is shared by all of them.
    pub(crate) fn engine(&self, py: Python<'_>) -> PyResult<store::Store> {
        self.inner.check(py)?;
        let engine = self.inner.lock().clone();
        engine.ok_or_else(|| errors::closed(py, "closed", "the store is closed"))
    }
}

#[pymethods]
impl Store {
    /// Open the store on a disk.
    #[staticmethod]
    fn open(
        py: Python<'_>,
        disk: &Disk,
        write: bool,
        create: bool,
        shared: bool,
        threads: usize,
        chosen: HashMap<String, u64>,
    ) -> PyResult<Self> {
        let engine = detached(py, || {
            let settings = settings::chosen(&chosen)?;
            let options = store::OpenOptions {
                write,
                create,
                shared,
                settings,
                threads,
                entries_in_memory: ENTRIES_IN_MEMORY,
                pack_target: PACK_TARGET,
            };
            store::Store::open(Arc::clone(&disk.disk), options)
        })?;
        Ok(Self { inner: Owned::new(engine) })
    }

    /// Whether its service wants versions in quotes, as its settings say.
    fn quoted_etags(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.engine(py)?.settings().quoted_etags)
    }

    /// What it has done since it was opened.
    fn stats(&self, py: Python<'_>) -> PyResult<HashMap<&'static str, u64>> {
        Ok(self.engine(py)?.stats().pairs().into_iter().collect())
    }

    /// Begin a batch.
    fn begin(&self, py: Python<'_>, pin: bool, check: bool) -> PyResult<Batch> {
        let engine = self.engine(py)?;
        Ok(Batch::new(detached(py, || engine.begin(BatchOptions { pin, check }))?))
    }

    /// Commit batches together; for each its results or its exception.
    fn commit<'py>(&self, py: Python<'py>, batches: Vec<Bound<'py, Batch>>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let engine = self.engine(py)?;
        let ids: Vec<_> = batches.iter().map(|batch| batch.get().id()).collect();
        let taken = batches.iter().map(|batch| batch.get().take(py)).collect::<PyResult<Vec<_>>>()?;
        let results = detached(py, || Ok(engine.commit(taken)))?;
        let outcomes = results.into_iter().zip(ids).map(|(result, id)| match result {
            Ok(rows) => Ok(Bound::new(py, Saved { rows })?.into_any()),
            Err(error) => Ok(errors::commit_exception(py, &error, id).into_value(py).into_bound(py).into_any()),
        });
        outcomes.collect()
    }

    /// Whether the index has grown so many segments that `maintain` would merge some.
    fn is_crowded(&self, py: Python<'_>) -> PyResult<bool> {
        Ok(self.engine(py)?.is_crowded())
    }

    /// Merge segments where there are too many; whether any were.
    fn maintain(&self, py: Python<'_>, cancel: &Cancel) -> PyResult<bool> {
        let engine = self.engine(py)?;
        detached(py, || engine.maintain(&cancel.flag))
    }

    /// Whether a batch was committed; None when it cannot be told any more.
    fn committed(&self, py: Python<'_>, batch_id: &str, cancel: &Cancel) -> PyResult<Option<bool>> {
        let (engine, id) = (self.engine(py)?, text::id(py, batch_id)?);
        detached(py, || engine.committed(id, &cancel.flag))
    }

    /// Find blobs by key and, where there is one, locator: a hint, passed over when it cannot be read.
    fn locate(&self, py: Python<'_>, keys: Vec<(String, Option<String>)>, cancel: &Cancel) -> PyResult<Located> {
        let engine = self.engine(py)?;
        let found = detached(py, || {
            let pairs = keys.iter().map(|(key, locator)| {
                let locator = locator.as_ref().and_then(|text| Locator::parse(text).ok());
                Ok((Digest::from_hex(key)?, locator))
            });
            engine.locate(&pairs.collect::<Result<Vec<_>>>()?, &cancel.flag)
        })?;
        Ok(Located { found })
    }

    /// Read whole blobs, verified, into the room that was made for them: for each its bytes, None if it was not found, or its exception.
    fn fetch<'py>(&self, py: Python<'py>, room: &Room, cancel: &Cancel) -> PyResult<Bound<'py, PyList>> {
        let engine = self.engine(py)?;
        let wanted = room.located.get().range(py, room.start, room.stop)?;
        let found: Vec<&store::Located> = wanted.iter().flatten().collect();
        let mut memory = room.take(py)?;
        let mut outs: Vec<&mut [u8]> = memory.iter_mut().map(Unfilled::memory).collect();
        let results = detached(py, || {
            outs.iter_mut().for_each(|memory| ask_for_huge_pages(memory));
            Ok(engine.fetch(&found, &mut outs, &cancel.flag))
        })?;
        drop(outs);
        // Stopped half-way is stopped.
        if let Some(Err(stop)) = results.iter().find(|result| matches!(result, Err(e) if e.kind() == Kind::Cancelled)) {
            return Err(errors::exception(py, stop));
        }
        // Only what was read whole and verified becomes visible; the memory of the others is dropped unseen.
        let mut read = memory.into_iter().zip(results);
        let list = PyList::empty(py);
        for one in wanted {
            match one.as_ref().and_then(|_| read.next()) {
                None => list.append(py.None())?,
                Some((bytes, Ok(()))) => list.append(bytes.filled())?,
                Some((_, Err(error))) => match one.as_ref().filter(|_| error.cause() == "locator") {
                    Some(one) => match self.by_the_index(py, one.key(), cancel) {
                        Ok(bytes) => list.append(bytes)?,
                        Err(error) => list.append(error.into_value(py))?,
                    },
                    None => list.append(errors::exception(py, &error).into_value(py))?,
                },
            }
        }
        Ok(list)
    }

    /// Read a whole blob, verified, into the beginning of a writable buffer.
    fn fetch_into(
        &self,
        py: Python<'_>,
        located: &Located,
        index: usize,
        buffer: Bound<'_, PyAny>,
        cancel: &Cancel,
    ) -> PyResult<()> {
        let engine = self.engine(py)?;
        let found = located.one(py, index)?;
        let mut view = View::new(&buffer, true)?;
        let memory = view.bytes_mut(py, size_of(py, found.size())?)?;
        detached(py, || {
            let results = engine.fetch(&[found], &mut [memory], &cancel.flag);
            results.into_iter().collect::<Result<Vec<()>>>().map(|_| ())
        })
    }

    /// Read the bytes from `start` up to `stop`, verified.
    fn fetch_range<'py>(
        &self,
        py: Python<'py>,
        located: &Located,
        index: usize,
        start: u64,
        stop: u64,
        cancel: &Cancel,
    ) -> PyResult<Bound<'py, PyBytes>> {
        let engine = self.engine(py)?;
        let found = located.one(py, index)?;
        let len = stop.checked_sub(start).filter(|_| stop <= found.size());
        let len = len.ok_or_else(|| errors::invalid(py, "range", "the range is not within the blob"))?;
        let mut bytes = Unfilled::new(py, size_of(py, len)?)?;
        let memory = bytes.memory();
        detached(py, || {
            ask_for_huge_pages(memory);
            engine.fetch_range(found, start, memory, &cancel.flag)
        })?;
        Ok(bytes.filled())
    }

    /// Read and check everything; `progress` is called with the bytes read so far.
    fn verify<'py>(
        &self,
        py: Python<'py>,
        progress: Option<Py<PyAny>>,
        cancel: &Cancel,
    ) -> PyResult<Bound<'py, PyDict>> {
        let engine = self.engine(py)?;
        let mut failed = None;
        let report = detached(py, || {
            let mut tell = |bytes: u64| {
                let Some(progress) = &progress else { return };
                if let Err(error) = Python::attach(|py| progress.call1(py, (bytes,))) {
                    failed.get_or_insert(error);
                    cancel.flag.cancel();
                }
            };
            engine.verify(&mut tell, &cancel.flag)
        });
        if let Some(error) = failed {
            return Err(error);
        }
        let report = report?;
        let told = PyDict::new(py);
        told.set_item("segments", report.segments)?;
        told.set_item("packs", report.packs)?;
        told.set_item("frames", report.frames)?;
        told.set_item("large_blobs", report.large_blobs)?;
        told.set_item("bytes", report.bytes)?;
        told.set_item("documents", report.documents)?;
        told.set_item("unlisted_packs", report.unlisted_packs)?;
        let findings = report.findings.into_iter().map(|finding| (finding.cause, finding.path, finding.text));
        told.set_item("findings", findings.collect::<Vec<_>>())?;
        Ok(told)
    }

    /// What the store holds, summed over its index.
    fn survey<'py>(&self, py: Python<'py>, cancel: &Cancel) -> PyResult<Bound<'py, PyDict>> {
        let engine = self.engine(py)?;
        survey::survey(py, &detached(py, || engine.survey(&cancel.flag))?)
    }

    /// How one blob is stored; None when there is no such blob.
    fn anatomy<'py>(&self, py: Python<'py>, key: &str, cancel: &Cancel) -> PyResult<Option<Bound<'py, PyDict>>> {
        let engine = self.engine(py)?;
        let found = detached(py, || engine.anatomy(&Digest::from_hex(key)?, &cancel.flag))?;
        found.map(|blob| survey::anatomy(py, &blob)).transpose()
    }

    /// The blobs whose keys come after a key, in order, with their sizes.
    fn keys(&self, py: Python<'_>, after: Option<&str>, limit: usize, cancel: &Cancel) -> PyResult<Vec<(String, u64)>> {
        let engine = self.engine(py)?;
        let page = detached(py, || {
            let after = after.map(Digest::from_hex).transpose()?;
            engine.keys(after.as_ref(), limit, &cancel.flag)
        })?;
        Ok(page.into_iter().map(|(key, size)| (key.to_string(), size)).collect())
    }

    /// Give back the writer's lock and every open file. Further calls are refused.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.inner.check(py)?;
        let engine = self.inner.lock().take();
        match engine {
            Some(engine) => detached(py, || engine.close()),
            None => Ok(()),
        }
    }
}

/// A size that comes from the store, as one of this machine's memory.
pub(crate) fn size_of(py: Python<'_>, size: u64) -> PyResult<usize> {
    usize::try_from(size)
        .map_err(|_| errors::invalid(py, "too-large", "the blob is larger than this machine's memory can be"))
}
