//! Reading what stands under a name.

use std::io::{self, IoSliceMut};

use super::{Document, Names, place};
use crate::disk::{Disk, File};
use crate::error::At;
use crate::format::Envelope;
use crate::format::envelope::{ENVELOPE_FRONT, ENVELOPE_HEAD, MAX_ENVELOPE};
use crate::{Error, Kind, Result};

impl Names {
    pub(super) fn read(&self, name: &str) -> Result<Document> {
        super::encoding::check(name)?;
        let bytes = bytes(&*self.disk, &place(name).1)?.ok_or_else(|| not_found(name))?;
        let envelope = decode(name, &bytes)?;
        if envelope.is_tombstone() {
            return Err(not_found(name));
        }
        Ok(Document {
            document: envelope.document.to_vec(),
            version: envelope.version,
            previous: envelope.previous,
            refs: envelope.refs.into_owned(),
        })
    }
}

pub(super) fn not_found(name: &str) -> Error {
    Error::new(Kind::NameNotFound, "name-not-found", format!("there is no document named {name:?}"))
}

/// The envelope of the document `name`, and of no other.
pub(super) fn decode<'a>(name: &str, bytes: &'a [u8]) -> Result<Envelope<'a>> {
    let told = |e: Error| {
        let (kind, cause) = (e.kind(), e.cause());
        e.recast(kind, cause, &format!("the document {name:?} cannot be read"))
    };
    let envelope = Envelope::decode(bytes).map_err(told)?;
    if envelope.name != name {
        let text = format!("the document {name:?} cannot be read: its file holds the document {:?}", envelope.name);
        return Err(Error::corrupt("envelope", text));
    }
    Ok(envelope)
}

/// A document's file, whole; `None` when there is none.
pub(super) fn bytes(disk: &dyn Disk, path: &str) -> Result<Option<Vec<u8>>> {
    front(disk, path, MAX_ENVELOPE)
}

/// As much of a document's file as tells its version from every other.
pub(super) fn head(disk: &dyn Disk, path: &str) -> Result<Option<Vec<u8>>> {
    front(disk, path, ENVELOPE_HEAD)
}

/// The same, or the whole file, and what a disk that can compare and swap calls this state of it.
pub(super) fn versioned(disk: &dyn Disk, path: &str, whole: bool) -> Result<Option<(Vec<u8>, Option<String>)>> {
    let Some(file) = disk.open(path).at("open", path)? else { return Ok(None) };
    let bytes = read_front(&*file, if whole { MAX_ENVELOPE } else { ENVELOPE_HEAD }).at("read", path)?;
    Ok(Some((bytes, file.version().map(str::to_owned))))
}

/// As much of a document's file as holds its full name.
pub(super) fn name_bytes(disk: &dyn Disk, path: &str) -> Result<Option<Vec<u8>>> {
    front(disk, path, ENVELOPE_FRONT)
}

fn front(disk: &dyn Disk, path: &str, most: usize) -> Result<Option<Vec<u8>>> {
    let Some(file) = disk.open(path).at("open", path)? else { return Ok(None) };
    read_front(&*file, most).at("read", path).map(Some)
}

/// The first `most` bytes. A file's length is asked for only where it is not known to be small.
fn read_front(file: &dyn File, most: usize) -> io::Result<Vec<u8>> {
    let len = if most > ENVELOPE_FRONT { usize::try_from(file.len()?).unwrap_or(usize::MAX).min(most) } else { most };
    let mut bytes = vec![0; len];
    let read = file.read_at(&mut [IoSliceMut::new(&mut bytes)], 0)?;
    bytes.truncate(read);
    Ok(bytes)
}
