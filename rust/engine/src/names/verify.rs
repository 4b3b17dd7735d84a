//! Reading every document whole.

use super::{DOCUMENT, DOCUMENTS, place, read};
use crate::disk::Disk;
use crate::error::At;
use crate::format::Envelope;
use crate::{Cancel, Error, Result};

/// Read every document and tell of those that are damaged, or that stand where their name does not belong. Returns how many are sound.
///
/// # Errors
/// `Cancelled`; errors of the disk that say nothing about the bytes.
pub(crate) fn verify(disk: &dyn Disk, cancel: &Cancel, find: &mut dyn FnMut(&str, &Error)) -> Result<u64> {
    let mut sound = 0_u64;
    let mut folders = vec![DOCUMENTS.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in disk.list(&folder).at("list", &folder)? {
            cancel.check()?;
            let path = format!("{folder}/{}", entry.name);
            if entry.is_dir {
                folders.push(path);
            } else if entry.name.ends_with(DOCUMENT)
                // Deleted meanwhile otherwise.
                && let Some(bytes) = read::bytes(disk, &path)?
            {
                match check(&path, &bytes) {
                    Ok(vacant) => sound = sound.saturating_add(u64::from(!vacant)),
                    Err(error) => find(&path, &error),
                }
            }
        }
    }
    Ok(sound)
}

/// Returns whether it is a tombstone.
fn check(path: &str, bytes: &[u8]) -> Result<bool> {
    let envelope = Envelope::decode(bytes)?;
    if place(envelope.name).1 == path {
        return Ok(envelope.is_tombstone());
    }
    Err(Error::corrupt("envelope", format!("the file holds the document {:?}", envelope.name)))
}
