//! Named documents.

use std::sync::Arc;

use packhouse_engine::names::{Action, Change, Document, Listing, Names as Engine, Patience, When};
use packhouse_engine::{Digest, Id, Result, store};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyList};

use crate::cancel::Cancel;
use crate::detach::{SLICE, detached, give_way};
use crate::errors;
use crate::fork::Owned;
use crate::store::Store;
use crate::text::{self, hex};

/// Small documents under names: blocking calls for worker threads.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Names {
    inner: Owned<(store::Store, Arc<Engine>)>,
}

/// A change as Python gives it: name, document (None: delete it), keys it keeps alive, condition ("always", "absent" or a version).
type Given = (String, Option<Py<PyBytes>>, Vec<String>, String);

/// A change, read.
struct Read<'a> {
    name: &'a str,
    document: Option<&'a [u8]>,
    refs: Vec<Digest>,
    when: When,
}

impl Names {
    fn engine(&self, py: Python<'_>) -> PyResult<(store::Store, Arc<Engine>)> {
        self.inner.check(py)?;
        let engine = self.inner.lock().clone();
        engine.ok_or_else(|| errors::closed(py, "closed", "the store is closed"))
    }
}

#[pymethods]
impl Names {
    /// The documents of an open store.
    #[new]
    fn new(py: Python<'_>, store: &Store) -> PyResult<Self> {
        let engine = store.engine(py)?;
        let names = Arc::new(Engine::new(engine.disk()));
        Ok(Self { inner: Owned::new((engine, names)) })
    }

    /// Read documents: for each its bytes, version and keys, or its exception.
    fn get<'py>(&self, py: Python<'py>, names: Vec<String>, cancel: &Cancel) -> PyResult<Bound<'py, PyList>> {
        let (_, engine) = self.engine(py)?;
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        let read = detached(py, || engine.get(&names, &cancel.flag))?;
        let list = PyList::empty(py);
        for (index, one) in read.into_iter().enumerate() {
            if index > 0 && index % SLICE == 0 {
                give_way(py);
            }
            match one {
                Ok(Document { document, version, refs, .. }) => {
                    let refs: Vec<String> = refs.iter().map(|key| hex(key.as_bytes())).collect();
                    list.append((PyBytes::new(py, &document), version.to_string(), refs))?;
                }
                Err(error) => list.append(errors::exception(py, &error).into_value(py))?,
            }
        }
        Ok(list)
    }

    /// Change documents, each on its own, durable together: for each its version, None after a deletion, or its exception.
    fn apply<'py>(&self, py: Python<'py>, changes: Vec<Given>, cancel: &Cancel) -> PyResult<Bound<'py, PyList>> {
        let (store, engine) = self.engine(py)?;
        let read = changes.iter().map(|change| read(py, change)).collect::<PyResult<Vec<_>>>()?;
        let outcomes = detached(py, || {
            let patience = Patience { cancel: cancel.flag.clone(), ..Patience::default() };
            let changes: Vec<Change<'_>> = read.iter().map(Read::change).collect();
            store.change_names(&engine, &changes, &patience)
        })?;
        let list = PyList::empty(py);
        for (index, outcome) in outcomes.into_iter().enumerate() {
            if index > 0 && index % SLICE == 0 {
                give_way(py);
            }
            match outcome {
                Ok(version) => list.append(version.map(|id| id.to_string()))?,
                Err(error) => list.append(errors::exception(py, &error).into_value(py))?,
            }
        }
        Ok(list)
    }

    /// One look at the names that begin with a prefix.
    fn scan(&self, py: Python<'_>, prefix: &str, cancel: &Cancel) -> PyResult<NameListing> {
        let (_, engine) = self.engine(py)?;
        let listing = detached(py, || engine.scan(prefix, &cancel.flag))?;
        Ok(NameListing { listing: Owned::new(listing) })
    }

    /// Let go of the store.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.inner.check(py)?;
        let engine = self.inner.lock().take();
        detached(py, || {
            drop(engine);
            Ok(())
        })
    }
}

/// The names under a prefix at one moment, read page by page.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct NameListing {
    listing: Owned<Listing>,
}

#[pymethods]
impl NameListing {
    /// The next names, at most so many; none at the end.
    fn page(&self, py: Python<'_>, limit: usize) -> PyResult<Vec<String>> {
        detached(py, || Ok(self.listing.lock().as_mut().map(|listing| listing.page(limit)).unwrap_or_default()))
    }

    /// Begin the next page behind a name, whether or not it exists.
    fn skip_to(&self, py: Python<'_>, after: &str) -> PyResult<()> {
        detached(py, || {
            if let Some(listing) = self.listing.lock().as_mut() {
                listing.skip_to(after);
            }
            Ok(())
        })
    }
}

impl Read<'_> {
    fn change(&self) -> Change<'_> {
        let action = match (self.document, self.when) {
            (Some(document), when) => Action::Put { document, refs: &self.refs, when },
            (None, When::Version(version)) => Action::Delete { version: Some(version) },
            (None, _) => Action::Delete { version: None },
        };
        Change { name: self.name, action }
    }
}

fn read<'a>(py: Python<'a>, (name, document, refs, when): &'a Given) -> PyResult<Read<'a>> {
    let refs = refs.iter().map(|key| Digest::from_hex(key)).collect::<Result<Vec<_>>>();
    let when = match when.as_str() {
        "always" => When::Always,
        "absent" => When::Absent,
        version => When::Version(version_of(py, version)?),
    };
    Ok(Read {
        name,
        document: document.as_ref().map(|bytes| bytes.as_bytes(py)),
        refs: refs.map_err(|error| errors::exception(py, &error))?,
        when,
    })
}

fn version_of(py: Python<'_>, version: &str) -> PyResult<Id> {
    text::id(py, version)
        .map_err(|_| errors::invalid(py, "version", &format!("{version:?} is no version of a document")))
}
