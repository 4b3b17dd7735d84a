//! Objects that Python carries. Called from the engine's threads, which hold no GIL; each call takes it, and waits in Python.

use std::sync::Arc;
use std::{fmt, io};

use packhouse_engine::Refusal;
use packhouse_engine::disk::{Bytes, Meta, Objects, Room, Upload, Wanted};
use pyo3::exceptions::{PyEOFError, PyFileExistsError, PyFileNotFoundError, PyNotImplementedError, PyPermissionError};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::part::{Coming, Filling, Part, Spare};

/// `packhouse.blobs.carrier.Carrier`, seen from the engine.
pub(crate) struct Carrier {
    object: Arc<Py<PyAny>>,
    shown: String,
    spare: Arc<Spare>,
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").field("shown", &self.shown).finish_non_exhaustive()
    }
}

impl Carrier {
    pub(crate) fn new(object: Py<PyAny>, shown: String) -> Self {
        Self { object: Arc::new(object), shown, spare: Arc::default() }
    }

    fn call<T>(&self, work: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> io::Result<T> {
        Python::attach(|py| work(self.object.bind(py)).map_err(|error| told(py, &error)))
    }
}

/// Causes that only what is between us and a bucket knows: those of `StorageError` in `packhouse.errors`, a bucket that is not there, and
/// a caller that gave up.
const CAUSES: [&str; 17] = [
    "access-denied",
    "archived",
    "bad-answer",
    "bad-credentials",
    "cancelled",
    "certificate",
    "clock-skew",
    "connection-lost",
    "damaged-in-transit",
    "deadline",
    "no-bucket",
    "no-network",
    "redirected",
    "refused",
    "service-failed",
    "throttled",
    "wrong-region",
];

/// The stable cause of an exception, or of the one that it was raised from.
fn cause_of(py: Python<'_>, error: &PyErr) -> Option<&'static str> {
    let told = error.value(py).getattr("kind").ok().and_then(|kind| kind.extract::<String>().ok());
    match told {
        Some(told) => CAUSES.into_iter().find(|cause| *cause == told),
        None => error.cause(py).and_then(|cause| cause_of(py, &cause)),
    }
}

/// Python's exception without Python: its class decides the kind, its text and its cause are kept.
fn told(py: Python<'_>, error: &PyErr) -> io::Error {
    let kind = if error.is_instance_of::<PyFileNotFoundError>(py) {
        io::ErrorKind::NotFound
    } else if error.is_instance_of::<PyFileExistsError>(py) {
        io::ErrorKind::AlreadyExists
    } else if error.is_instance_of::<PyPermissionError>(py) {
        io::ErrorKind::PermissionDenied
    } else if error.is_instance_of::<PyNotImplementedError>(py) {
        io::ErrorKind::Unsupported
    } else if error.is_instance_of::<PyEOFError>(py) {
        io::ErrorKind::UnexpectedEof
    } else {
        io::ErrorKind::TimedOut
    };
    let text = error.value(py).to_string();
    match cause_of(py, error) {
        Some(cause) => io::Error::new(kind, Refusal { cause, text }),
        None => io::Error::new(kind, text),
    }
}

impl Objects for Carrier {
    fn describe(&self) -> String {
        self.shown.clone()
    }

    fn read(&self, name: &str, offset: u64, len: usize) -> io::Result<(Bytes, u64)> {
        let (room, coming) = Part::room(len, &self.spare)?;
        let size = self.call(|carrier| carrier.call_method1("read", (name, offset, room))?.extract())?;
        Ok((Box::new(coming.come()), size)) // a read that has ended writes no more
    }

    fn read_many(&self, wanted: &[Wanted]) -> io::Result<Vec<io::Result<Bytes>>> {
        let (mut asked, mut coming) = (Vec::with_capacity(wanted.len()), Vec::with_capacity(wanted.len()));
        for one in wanted {
            let (room, filled) = Part::room(one.len, &self.spare)?;
            asked.push((one.path.as_str(), one.offset, room));
            coming.push(filled);
        }
        let failed: Vec<Option<io::Error>> = self.call(|carrier| {
            let outcomes: Vec<Option<Bound<'_, PyAny>>> = carrier.call_method1("read_many", (asked,))?.extract()?;
            let py = carrier.py();
            Ok(outcomes.into_iter().map(|error| error.map(|error| told(py, &PyErr::from_value(error)))).collect())
        })?;
        let outcome = |(filled, error): (Coming, Option<io::Error>)| -> io::Result<Bytes> {
            error.map_or_else(|| Ok(Box::new(filled.come()) as Bytes), Err) // a read that has ended writes no more
        };
        Ok(coming.into_iter().zip(failed).map(outcome).collect())
    }

    fn whole(&self, name: &str) -> io::Result<Option<(Vec<u8>, String)>> {
        self.call(|carrier| carrier.call_method1("whole", (name,))?.extract())
    }

    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.call(|carrier| carrier.call_method1("put", (name, PyBytes::new(carrier.py(), bytes))).map(drop))
    }

    fn put_if(&self, name: &str, bytes: &[u8], version: Option<&str>) -> io::Result<()> {
        self.call(|carrier| {
            carrier.call_method1("put_if", (name, PyBytes::new(carrier.py(), bytes), version)).map(drop)
        })
    }

    fn upload(&self, name: &str) -> io::Result<Box<dyn Upload>> {
        let upload = self.call(|carrier| Ok(carrier.call_method1("upload", (name,))?.unbind()))?;
        Ok(Box::new(OnTheWay { upload: Some(Arc::new(upload)), spare: Arc::clone(&self.spare) }))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.call(|carrier| carrier.call_method1("remove", (name,)).map(drop))
    }

    fn list(&self, prefix: &str, limit: usize) -> io::Result<Vec<(String, u64)>> {
        let limit = isize::try_from(limit).unwrap_or(isize::MAX);
        self.call(|carrier| carrier.call_method1("names", (prefix, limit))?.extract())
    }

    fn head(&self, name: &str) -> io::Result<Option<Meta>> {
        let found: Option<(u64, i64)> = self.call(|carrier| carrier.call_method1("head", (name,))?.extract())?;
        Ok(found.map(|(len, modified_ms)| Meta { len, modified_ms, is_dir: false }))
    }

    fn now_ms(&self) -> i64 {
        self.call(|carrier| carrier.call_method0("now_ms")?.extract()).unwrap_or(0)
    }
}

struct OnTheWay {
    /// There until it is finished.
    upload: Option<Arc<Py<PyAny>>>,
    spare: Arc<Spare>,
}

impl fmt::Debug for OnTheWay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnTheWay").field("upload", &self.upload).finish_non_exhaustive()
    }
}

impl OnTheWay {
    fn call(&self, method: &str) -> io::Result<()> {
        Python::attach(|py| {
            let Some(upload) = &self.upload else { return Ok(()) };
            upload.bind(py).call_method0(method).map(drop).map_err(|error| told(py, &error))
        })
    }
}

impl Upload for OnTheWay {
    fn room(&self, len: usize) -> io::Result<Box<dyn Room>> {
        let upload = self.upload.clone().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Box::new(Space { room: Filling::new(len, &self.spare)?, upload }))
    }

    fn finish(mut self: Box<Self>) -> io::Result<()> {
        let done = self.call("finish");
        self.upload = None;
        done
    }
}

/// Memory for a part of an upload.
struct Space {
    room: Filling,
    upload: Arc<Py<PyAny>>,
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Space").field("upload", &self.upload).finish_non_exhaustive()
    }
}

impl Room for Space {
    fn bytes(&mut self) -> &mut [u8] {
        self.room.bytes()
    }

    fn send(self: Box<Self>, len: usize) -> io::Result<()> {
        let Self { room, upload } = *self;
        let part = room.part(len);
        Python::attach(|py| upload.bind(py).call_method1("write", (part,)).map(drop).map_err(|error| told(py, &error)))
    }
}

impl Drop for OnTheWay {
    fn drop(&mut self) {
        // Whoever gives an upload up has an error of its own to tell.
        let _ = self.call("abort");
    }
}
