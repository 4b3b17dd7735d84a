//! `packhouse._engine`: the engine seen from Python. Buffers, errors, the GIL; no logic of its own.
//!
//! Every method blocks and is meant for worker threads. The GIL is released in one place, `detach`, memory that is not Rust's
//! is touched in one place, `buffers`, given away in one, `part`, and errors become exceptions in one place, `errors`.

mod batch;
mod buffers;
mod cancel;
mod crc;
mod detach;
mod disk;
mod errors;
mod fork;
mod gzip;
mod located;
mod names;
mod objects;
mod part;
mod room;
mod saved;
mod settings;
mod store;
mod survey;
mod text;
mod turns;

use pyo3::prelude::*;

/// The storage engine of packhouse.
#[pymodule]
mod _engine {
    #[pymodule_export]
    use crate::batch::Batch;
    #[pymodule_export]
    use crate::cancel::Cancel;
    #[pymodule_export]
    use crate::crc::{crc32, crc32c};
    #[pymodule_export]
    use crate::disk::Disk;
    #[pymodule_export]
    use crate::gzip::{GzipBatch, GzipFiles, GzipFound, gzip_keys, gzip_pack};
    #[pymodule_export]
    use crate::located::Located;
    #[pymodule_export]
    use crate::names::{NameListing, Names};
    #[pymodule_export]
    use crate::room::Room;
    #[pymodule_export]
    use crate::saved::Saved;
    #[pymodule_export]
    use crate::store::Store;
    #[pymodule_export]
    use crate::text::count_keys;
}
