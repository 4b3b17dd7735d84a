//! Where the bytes of one file come from: the disk, or memory.

use std::io::{self, IoSliceMut, Read};
use std::sync::Arc;

use crate::disk::File;
use crate::error::At;
use crate::{Error, Result};

/// A file that is read at any place.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Bytes(Arc<[u8]>),
    File { file: Arc<dyn File>, path: String, len: u64 },
}

impl Source {
    pub(super) fn of_file(file: Arc<dyn File>, path: &str) -> Result<Self> {
        let len = file.len().at("read", path)?;
        Ok(Self::File { file, path: path.to_owned(), len })
    }

    pub(super) fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File { len, .. } => *len,
        }
    }

    /// Exactly `len` bytes from `offset`.
    pub(super) fn read(&self, offset: u64, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let read = self.fill(offset, &mut bytes)?;
        if read < len {
            return Err(Error::corrupt("gzip-file", "the file ends too early"));
        }
        Ok(bytes)
    }

    /// Bytes from `offset`, as many as there are.
    pub(super) fn fill(&self, offset: u64, memory: &mut [u8]) -> Result<usize> {
        match self {
            Self::Bytes(bytes) => {
                let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
                let rest = bytes.get(start..).unwrap_or_default();
                let len = rest.len().min(memory.len());
                memory.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
                Ok(len)
            }
            Self::File { file, path, .. } => file.read_at(&mut [IoSliceMut::new(memory)], offset).at("read", path),
        }
    }

    pub(super) fn reader(&self) -> Reader<'_> {
        Reader { source: self, offset: 0 }
    }
}

/// Reads from the beginning to the end.
pub(super) struct Reader<'a> {
    source: &'a Source,
    offset: u64,
}

impl Read for Reader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.fill(self.offset, buffer).map_err(io::Error::other)?;
        self.offset = self.offset.saturating_add(read as u64);
        Ok(read)
    }
}
