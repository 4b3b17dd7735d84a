//! What does not fit into memory for a while, on this machine: a bucket has no room for it.

use std::fs::{File, OpenOptions};
use std::io;
use std::io::{IoSlice, IoSliceMut};
use std::os::unix::fs::{FileExt, OpenOptionsExt};

use super::Staged;

/// A file without a name in the system's folder for temporary files.
#[derive(Debug)]
pub(super) struct Scratch(File);

impl Scratch {
    pub(super) fn new() -> io::Result<Self> {
        let id = crate::WriterId::random().map_err(|error| io::Error::other(error.to_string()))?;
        let path = std::env::temp_dir().join(format!("packhouse-{id}"));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        std::fs::remove_file(&path)?;
        Ok(Self(file))
    }
}

impl Staged for Scratch {
    fn write_at(&self, buffers: &[IoSlice<'_>], mut offset: u64) -> io::Result<()> {
        for buffer in buffers {
            self.0.write_all_at(buffer, offset)?;
            offset = offset.saturating_add(buffer.len() as u64);
        }
        Ok(())
    }

    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], mut offset: u64) -> io::Result<usize> {
        let mut total = 0_usize;
        for buffer in buffers {
            self.0.read_exact_at(buffer, offset)?;
            offset = offset.saturating_add(buffer.len() as u64);
            total = total.saturating_add(buffer.len());
        }
        Ok(total)
    }

    fn start_writeback(&self, _offset: u64, _len: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn modified_ms(&self) -> io::Result<i64> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn publish(&mut self, _path: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn replace(&mut self, _path: &str) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}
