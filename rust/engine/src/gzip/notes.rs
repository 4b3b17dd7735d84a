//! Notes about damaged files: empty files under `damage/`, named by the key. They make the next save of that content replace the file.

use std::collections::HashSet;
use std::io::ErrorKind;

use super::Sha1Key;
use crate::Result;
use crate::disk::Disk;
use crate::error::At;

const FOLDER: &str = "damage";

/// The keys whose files were noticed to be damaged.
pub(super) fn read(disk: &dyn Disk) -> Result<HashSet<Sha1Key>> {
    let mut noted = HashSet::new();
    let listed = disk.visit(FOLDER, &mut |name, _| {
        noted.extend(Sha1Key::from_hex(name));
        true
    });
    match listed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(noted),
        listed => listed.at("list", FOLDER).map(|()| noted),
    }
}

/// Note a damaged file. A reader that may not write notes nothing: what it found it reports anyway.
pub(super) fn write(disk: &dyn Disk, key: &Sha1Key) {
    if matches!(disk.stat(&path(key)), Ok(Some(_))) {
        return;
    }
    let written = disk.create_dir(FOLDER).and_then(|_| disk.stage()?.publish(&path(key)));
    let _ = written.and_then(|()| disk.sync_dir(FOLDER));
}

/// Take a note away, now that its file is sound again. One that stays costs a comparison at the next save.
pub(super) fn remove(disk: &dyn Disk, key: &Sha1Key) {
    let _ = disk.remove(&path(key));
}

fn path(key: &Sha1Key) -> String {
    format!("{FOLDER}/{key}")
}
