//! What a path within a store may look like.

use std::io;

/// Refuse what names nothing in a folder: an empty part, `.`, `..`, a part with a NUL.
pub(super) fn check(part: &str) -> io::Result<()> {
    if matches!(part, "" | "." | "..") || part.contains(['/', '\0']) {
        return Err(rustix::io::Errno::INVAL.into());
    }
    Ok(())
}

/// The folder a path lies in (empty for the root), and its last part.
pub(super) fn split(path: &str) -> io::Result<(&str, &str)> {
    let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
    check(name)?;
    if !path.starts_with('/') { Ok((folder, name)) } else { Err(rustix::io::Errno::INVAL.into()) }
}
