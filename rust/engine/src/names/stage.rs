//! New documents, written and durable, that wait for their names.

use std::io::IoSlice;

use super::spread::spread;
use super::{Action, Change};
use crate::disk::{Disk, Parked, Staged};
use crate::error::At;
use crate::format::Envelope;
use crate::mutant::planted;
use crate::{Cancel, Id, Result, WriterId};

/// Up to this many documents are synced one by one; for more, one sync of the whole file system costs less.
const FEW: usize = 8;

/// A document that waits for its name.
#[derive(Debug)]
pub(super) struct New {
    pub(super) version: Id,
    file: Kept,
}

#[derive(Debug)]
enum Kept {
    Open(Box<dyn Staged>),
    Parked(Box<dyn Parked>),
}

impl New {
    /// Let the name stand for it, if what stands there is still of that version; under a lock that needs no look.
    pub(super) fn swap(&mut self, path: &str, version: Option<&str>) -> std::io::Result<()> {
        match &mut self.file {
            Kept::Open(file) => file.swap(path, version),
            Kept::Parked(file) => file.swap(path, version),
        }
    }
}

/// A change that needs a file: a put, or a deletion where nothing is deleted on a condition. The change, and the write ids that it follows.
pub(super) struct Wanted<'a> {
    pub(super) change: &'a Change<'a>,
    pub(super) previous: &'a [Id],
}

/// Write the files of these puts and make them durable, all or none.
pub(super) fn stage(disk: &dyn Disk, writer: WriterId, wanted: &mut [Wanted<'_>], cancel: &Cancel) -> Result<Vec<New>> {
    let few = wanted.len() <= FEW;
    let runs = spread(wanted, |wanted| write(disk, writer, wanted, few, cancel));
    let mut files = Vec::new();
    for run in runs {
        files.extend(run?);
    }
    if !few && !planted("names-no-sync") {
        disk.sync_all().at("sync", "the file system")?;
    }
    Ok(files)
}

/// Write files; the `few` are synced each.
fn write(disk: &dyn Disk, writer: WriterId, wanted: &[Wanted<'_>], few: bool, cancel: &Cancel) -> Result<Vec<New>> {
    let mut bytes = Vec::new();
    let mut files = Vec::with_capacity(wanted.len());
    for one in wanted {
        cancel.check()?;
        let (version, name) = (writer.new_id()?, one.change.name);
        let envelope = match one.change.action {
            Action::Put { document, refs, .. } => {
                Envelope { version, previous: one.previous.to_vec(), name, refs: refs.into(), document }
            }
            Action::Delete { .. } => Envelope::tombstone(version, name),
        };
        bytes.clear();
        envelope.encode(&mut bytes)?;
        let file = if few {
            let mut file = disk.stage().at("create", one.change.name)?;
            file.write_at(&[IoSlice::new(&bytes)], 0).at("write", one.change.name)?;
            if !planted("names-no-sync") {
                file.sync().at("sync", one.change.name)?;
            }
            Kept::Open(file)
        } else {
            Kept::Parked(disk.park(&bytes).at("write", one.change.name)?)
        };
        files.push(New { version, file });
    }
    Ok(files)
}
