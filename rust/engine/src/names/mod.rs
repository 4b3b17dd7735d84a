//! Named documents on a folder: small, replaced whole, each with a version that says which write it is of.
//!
//! A document stands in one file under `documents/`, its path the encoded name and a `+` ([`encoding`]), in an envelope
//! ([`crate::format::envelope`]). Readers take no lock: a file is never changed, only replaced. Writers of a batch write new files
//! and sync them, take the kernel locks of their names (`locks/0` … `locks/f`, by the name's hash, in ascending order), compare what
//! stands there, rename, sync each folder once, unlock, and only then tell. Folders are never removed.
//!
//! Whether the keys in `refs` are still there is for the caller to check after a write, and before it tells anybody.

mod commit;
pub mod encoding;
mod folders;
mod list;
mod locks;
mod read;
mod spread;
mod stage;
pub(crate) mod verify;

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::disk::Disk;
use crate::format::envelope::MAX_DOCUMENT;
use crate::{Cancel, Digest, Error, Id, Kind, Result, WriterId};

pub use self::list::Listing;

/// The folder of all documents.
pub const DOCUMENTS: &str = "documents";
/// Ends a document's file name, so that the documents `a` and `a/b` can stand side by side. No encoded name has this character.
const DOCUMENT: char = '+';

/// A named document as it was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Document {
    /// The document.
    pub document: Vec<u8>,
    /// The id of the write that put it there. Never reused.
    pub version: Id,
    /// The ids of the writes before, newest first, 16 at most.
    pub previous: Vec<Id>,
    /// Keys that the document keeps alive.
    pub refs: Vec<Digest>,
}

/// A document to put, or to delete.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a> {
    /// Its full name.
    pub name: &'a str,
    /// What to do with it.
    pub action: Action<'a>,
}

/// What to do with a name.
#[derive(Clone, Copy, Debug)]
pub enum Action<'a> {
    /// Let it stand for this document from now on.
    Put {
        /// The document.
        document: &'a [u8],
        /// Keys that it keeps alive.
        refs: &'a [Digest],
        /// On which condition.
        when: When,
    },
    /// Let it stand for nothing.
    Delete {
        /// Only if this is still its version.
        version: Option<Id>,
    },
}

/// The condition of a put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// None.
    Always,
    /// There is no such document.
    Absent,
    /// The document is of this version.
    Version(Id),
}

/// How long an operation may wait for other writers.
#[derive(Clone, Debug)]
pub struct Patience {
    /// Ends the waiting.
    pub cancel: Cancel,
    /// How long locks that others hold are waited for: a process that was stopped while it held one must not hold up all others for ever.
    pub wait: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self { cancel: Cancel::new(), wait: Duration::from_secs(60) }
    }
}

/// What became of one change: the document's version from now on, `None` after a deletion.
pub type Outcome = Result<Option<Id>>;

/// The named documents of a store.
#[derive(Debug)]
pub struct Names {
    disk: Arc<dyn Disk>,
    /// Folders whose own names are known to be durable.
    known: Mutex<HashSet<String>>,
    /// Serialises folder syncs: the kernel tells a failure once, and no other batch may acknowledge behind it.
    sync: Mutex<()>,
    failed: AtomicBool,
}

impl Names {
    /// The documents of the store on this disk. Touches nothing.
    pub fn new(disk: Arc<dyn Disk>) -> Self {
        Self { disk, known: Mutex::default(), sync: Mutex::new(()), failed: AtomicBool::new(false) }
    }

    /// Read documents, one result for each name.
    ///
    /// # Errors
    /// Of the whole: `Cancelled`. Of one name: `Invalid`, `NameNotFound`, `Corrupt` when damaged, `Unsupported` when written for a
    /// newer reader, `Io`.
    pub fn get(&self, names: &[&str], cancel: &Cancel) -> Result<Vec<Result<Document>>> {
        let read = |name: &&str| {
            cancel.check()?;
            Ok(self.read(name))
        };
        names.iter().map(read).collect()
    }

    /// Change documents, each on its own, in one go: durable when this returns. Changes of one name take effect in their order.
    ///
    /// # Errors
    /// Of the whole, nothing being changed: `Invalid` for a name or document that cannot be, `ReadOnly` after a failed sync.
    /// Of one change: `Conflict` when its condition does not hold, `NameNotFound`, `Corrupt`, `Cancelled`, `Io` (cause
    /// `lock-timeout` when another writer holds a lock for too long) – it did not happen; `Uncertain` – others saw it, but it may be gone after power loss.
    pub fn apply(&self, writer: WriterId, changes: &[Change<'_>], patience: &Patience) -> Result<Vec<Outcome>> {
        if self.failed.load(Ordering::Acquire) {
            return Err(Error::new(
                Kind::ReadOnly,
                "failed-sync",
                "names are not written any more after a failed sync",
            ));
        }
        for change in changes {
            encoding::check(change.name)?;
            if let Action::Put { document: [], .. } = change.action {
                let text = format!("the document {:?} has no bytes: that is what a deleted one has", change.name);
                return Err(Error::invalid("empty-document", text));
            }
            if let Action::Put { document, .. } = change.action
                && document.len() > MAX_DOCUMENT
            {
                let text =
                    format!("the document {:?} has {} bytes, more than {MAX_DOCUMENT}", change.name, document.len());
                return Err(Error::invalid("too-large", text));
            }
        }
        self.commit_all(writer, changes, patience)
    }

    /// The names that begin with `prefix`, behind `after`, at most `limit`, in the order of their UTF-8 bytes.
    ///
    /// # Errors
    /// As [`Names::scan`].
    pub fn list(&self, prefix: &str, after: Option<&str>, limit: usize, cancel: &Cancel) -> Result<Vec<String>> {
        let mut listing = self.scan(prefix, cancel)?;
        if let Some(after) = after {
            listing.skip_to(after);
        }
        Ok(listing.page(limit))
    }

    /// One look at all names that begin with `prefix`, to be read page by page.
    ///
    /// # Errors
    /// `Cancelled`, `Io`, `Corrupt` when a name too long for its folder cannot be read from its damaged file.
    pub fn scan(&self, prefix: &str, cancel: &Cancel) -> Result<Listing> {
        list::scan(&*self.disk, prefix, cancel)
    }
}

/// Where a document stands: its folder, and its path.
fn place(name: &str) -> (String, String) {
    let folded = crate::mutant::planted("names-fold-case").then(|| name.to_lowercase());
    let name = folded.as_deref().unwrap_or(name);
    let mut path = DOCUMENTS.to_owned();
    for part in encoding::parts(name) {
        path.push('/');
        path.push_str(&encoding::folder_part(part));
    }
    let folder = path.rsplit_once('/').map_or(DOCUMENTS, |(folder, _)| folder).to_owned();
    path.push(DOCUMENT);
    (folder, path)
}

#[cfg(test)]
mod tests;
