//! The folders that documents stand in, and making their names durable.

use std::collections::{BTreeSet, HashSet};
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};

use super::Names;
use crate::error::At;
use crate::{Error, Kind, Result};

/// From this many folders on one sync of the file system costs less than one of each.
const MANY_FOLDERS: usize = 16;
/// As many folders are remembered as durable; beyond, memory counts more than a sync.
const MOST_KNOWN: usize = 100_000;

/// Folders that a batch has to sync before it may tell.
#[derive(Debug, Default)]
pub(super) struct ToSync {
    folders: BTreeSet<String>,
    /// Folders whose own names are durable afterwards.
    new: HashSet<String>,
}

impl ToSync {
    /// A name in this folder has changed.
    pub(super) fn add(&mut self, folder: &str) {
        if !self.folders.contains(folder) {
            self.folders.insert(folder.to_owned());
        }
    }
}

impl Names {
    /// Make a folder and those above it. A folder found standing may be another writer's and not durable yet: its name is
    /// synced once by each process before the process relies on it.
    pub(super) fn make_folder(&self, folder: &str, to_sync: &mut ToSync) -> Result<()> {
        if to_sync.new.contains(folder) || self.known().contains(folder) {
            return Ok(());
        }
        let above = folder.rsplit_once('/').map_or("", |(above, _)| above);
        if !above.is_empty() {
            self.make_folder(above, to_sync)?;
        }
        self.disk.create_dir(folder).at("create", folder)?;
        to_sync.add(above);
        to_sync.new.insert(folder.to_owned());
        Ok(())
    }

    /// Make the names in these folders durable. After a failure nobody can say what is, and no more is written.
    pub(super) fn sync_folders(&self, to_sync: ToSync) -> Result<()> {
        let _alone = self.sync.lock().unwrap_or_else(PoisonError::into_inner);
        if self.failed.load(Ordering::Acquire) {
            return Err(Error::new(Kind::ReadOnly, "failed-sync", "another batch's sync has failed"));
        }
        let synced = if to_sync.folders.len() >= MANY_FOLDERS {
            self.disk.sync_all().at("sync", "the file system")
        } else {
            to_sync.folders.iter().try_for_each(|folder| self.disk.sync_dir(folder).at("sync", folder))
        };
        synced.inspect_err(|_| self.failed.store(true, Ordering::Release))?;
        let mut known = self.known();
        if known.len().saturating_add(to_sync.new.len()) > MOST_KNOWN {
            known.clear();
        }
        known.extend(to_sync.new);
        Ok(())
    }

    /// Somebody removed a folder: look at each again.
    pub(super) fn forget_folders(&self) {
        self.known().clear();
    }

    fn known(&self) -> MutexGuard<'_, HashSet<String>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
