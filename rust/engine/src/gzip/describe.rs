//! The small JSON file `<key>_meta` that stock Metaflow keeps beside each of its files. We write none beside gzip, which is what stock
//! takes a file without one for; beside raw content there has to be one, and one that damage made unreadable is replaced.

use std::io::IoSlice;

use super::Sha1Key;
use super::source::Source;
use crate::Result;
use crate::disk::Disk;
use crate::error::At;

/// No description is longer.
const LONGEST: u64 = 4096;

/// What a description says about its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Description {
    Absent,
    Packed,
    Raw,
    /// Stock cannot read it, and so not the file.
    Broken,
}

impl Description {
    pub(super) fn read(disk: &dyn Disk, key: Sha1Key) -> Result<Self> {
        let path = path(key);
        let Some(file) = disk.open(&path).at("open", &path)? else { return Ok(Self::Absent) };
        let source = Source::of_file(file, &path)?;
        let text = source.read(0, usize::try_from(source.len().min(LONGEST)).unwrap_or_default())?;
        let told = serde_json::from_slice::<serde_json::Value>(&text).ok();
        let version = told.as_ref().and_then(|told| told.get("cas_version")?.as_u64());
        let raw = told.as_ref().and_then(|told| told.get("cas_raw")?.as_bool());
        Ok(match (version, raw) {
            (_, Some(true)) => Self::Raw,
            (Some(1), _) => Self::Packed,
            _ => Self::Broken,
        })
    }

    /// What a new file has to be described as; `None` where nothing has to be written.
    pub(super) fn wanted(self, raw: bool) -> Option<Self> {
        match (self, raw) {
            // A file that was raw stays so: a reader may have looked at its description already.
            (Self::Raw, _) | (_, true) => Some(Self::Raw),
            (Self::Broken, false) => Some(Self::Packed),
            (Self::Absent | Self::Packed, false) => None,
        }
    }

    /// Write it, durably.
    pub(super) fn write(self, disk: &dyn Disk, key: Sha1Key) -> Result<()> {
        let path = path(key);
        let raw = self == Self::Raw;
        let text = format!(r#"{{"cas_raw": {raw}, "cas_version": 1}}"#);
        let mut file = disk.stage().at("write", &path)?;
        file.write_at(&[IoSlice::new(text.as_bytes())], 0).at("write", &path)?;
        file.sync().at("sync", &path)?;
        file.replace(&path).at("name", &path)?;
        disk.sync_dir(&key.folder()).at("sync", &path)
    }
}

fn path(key: Sha1Key) -> String {
    format!("{}_meta", key.path())
}
