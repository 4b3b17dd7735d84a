//! Where a store stands.

use std::path::PathBuf;
use std::sync::Arc;

use packhouse_engine::Error;
use packhouse_engine::disk::{self, BlockCache, BucketDisk, RealDisk, SimDisk};
use pyo3::prelude::*;

use crate::detach::detached;
use crate::objects::Carrier;

/// A store's folder, or one in memory.
#[pyclass(frozen, module = "packhouse._engine")]
pub(crate) struct Disk {
    pub(crate) disk: Arc<dyn disk::Disk>,
}

#[pymethods]
impl Disk {
    /// A folder, made with its parents if `create`.
    #[staticmethod]
    fn folder(py: Python<'_>, path: PathBuf, create: bool) -> PyResult<Self> {
        detached(py, || {
            let opened = if create { RealDisk::create(&path) } else { RealDisk::open(&path) };
            let shown = path.to_string_lossy();
            let real = opened.map_err(|error| match error.kind() {
                std::io::ErrorKind::NotFound => {
                    let text = format!("open {shown}: there is no such folder");
                    Error::new(packhouse_engine::Kind::NotAStore, "no-store", text)
                }
                std::io::ErrorKind::NotADirectory => {
                    let text = format!("open {shown}: it is no folder");
                    Error::new(packhouse_engine::Kind::NotAStore, "not-a-store", text)
                }
                _ => Error::io("open", &shown, error),
            })?;
            Ok(Self { disk: Arc::new(real) })
        })
    }

    /// The objects that a carrier reaches; its methods are called from any thread, and block. Blocks of the index are kept beneath a
    /// folder, in so many bytes, if one is given; why no more are is told by the carrier's `warn`. With `whole`, no segment is read whole
    /// that takes more bytes.
    #[staticmethod]
    #[pyo3(signature = (carrier, shown, cache=None, whole=None))]
    fn objects(
        py: Python<'_>,
        carrier: Py<PyAny>,
        shown: String,
        cache: Option<(PathBuf, u64)>,
        whole: Option<u64>,
    ) -> Self {
        let cache = cache.map(|(folder, bytes)| {
            let told = carrier.clone_ref(py);
            let tell = move |text: &str| {
                // A log that fails is no reason to fail a load.
                let _ = Python::attach(|py| told.call_method1(py, "warn", (text,)));
            };
            Arc::new(BlockCache::new(&folder, bytes, Box::new(tell)))
        });
        let objects = Arc::new(Carrier::new(carrier, shown));
        let mut disk = BucketDisk::new(objects, cache);
        if let Some(bytes) = whole {
            disk = disk.with_whole(bytes);
        }
        Self { disk: Arc::new(disk) }
    }

    /// A store in memory, which lives as long as this object.
    #[staticmethod]
    fn memory() -> Self {
        Self { disk: Arc::new(SimDisk::memory()) }
    }
}
