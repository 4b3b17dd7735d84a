//! The locks of names: kernel locks on a few files, taken in ascending order so that no two batches wait for each other.

use std::collections::BTreeSet;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use super::Patience;
use crate::disk::{Disk, Lock};
use crate::error::At;
use crate::{Error, Kind, Result, digest};

const LOCKS: &str = "locks";
/// Between two looks at a lock that another holds: from short to bearable.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(5);

/// Take the locks of all `names`, or none.
pub(super) fn take<'a>(
    disk: &dyn Disk,
    names: impl Iterator<Item = &'a str>,
    patience: &Patience,
) -> Result<Vec<Box<dyn Lock>>> {
    if crate::mutant::planted("names-no-lock") {
        return Ok(Vec::new());
    }
    let numbers: BTreeSet<u8> =
        names.filter_map(|name| digest::hash(name.as_bytes()).as_bytes().first().map(|byte| byte >> 4)).collect();
    let begun = Instant::now();
    numbers.into_iter().map(|number| wait(disk, &format!("{LOCKS}/{number:x}"), begun, patience)).collect()
}

fn wait(disk: &dyn Disk, path: &str, begun: Instant, patience: &Patience) -> Result<Box<dyn Lock>> {
    let mut pause = FIRST_PAUSE;
    loop {
        patience.cancel.check()?;
        match disk.try_lock(path, true) {
            Ok(Some(lock)) => return Ok(lock),
            Ok(None) => {}
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                disk.create_dir(LOCKS).at("create", LOCKS)?;
                continue;
            }
            Err(e) => return Err(Error::io("lock", path, e)),
        }
        if begun.elapsed() >= patience.wait {
            return Err(Error::new(Kind::Io, "lock-timeout", format!("another writer still holds {path:?}")));
        }
        thread::sleep(pause);
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}
