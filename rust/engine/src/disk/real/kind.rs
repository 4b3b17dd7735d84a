//! Which file system a folder lies on: those whose locks, links and syncs other hosts or user programs answer for are told apart.

use std::io;

use rustix::fd::OwnedFd;
use rustix::fs;

/// The kind of a file system, as far as a store cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileSystem {
    /// Kept by this machine's kernel, or no folder at all.
    Local,
    /// Kept by another host, under the given name.
    Network(&'static str),
    /// Kept by a user program (FUSE, virtiofs).
    UserSpace,
}

/// Numbers of `linux/magic.h` and of the file systems' own sources.
#[cfg(target_os = "linux")]
const NETWORK: &[(u64, &str)] = &[
    (0x6969, "nfs"),
    (0x517B, "smb"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x0102_1997, "9p"),
    (0x5346_414F, "afs"),
    (0x6B41_4653, "afs"),
    (0x00C3_6400, "ceph"),
    (0x7375_7245, "coda"),
    (0x564C, "ncp"),
    (0x0116_1970, "gfs2"),
    (0x7461_636F, "ocfs2"),
    (0x0BD0_0BD0, "lustre"),
    (0x4750_4653, "gpfs"),
    (0x1983_0326, "beegfs"),
    (0x2003_0528, "orangefs"),
    (0xAAD7_AAEA, "panfs"),
    (0x786F_4256, "vboxsf"),
    (0xBACB_ACBC, "vmhgfs"),
    (0x7C7C_6673, "prl_fs"),
];

#[cfg(target_os = "linux")]
pub(super) fn of(folder: &OwnedFd) -> io::Result<FileSystem> {
    const FUSE: u64 = 0x6573_5546;
    let magic = magic(fs::fstatfs(folder)?.f_type.into());
    if magic == FUSE {
        return Ok(FileSystem::UserSpace);
    }
    let known = NETWORK.iter().find(|(number, _)| *number == magic);
    Ok(known.map_or(FileSystem::Local, |(_, name)| FileSystem::Network(name)))
}

/// The field is signed on some systems, 32 bits wide on others; the numbers have 32 bits.
#[cfg(target_os = "linux")]
fn magic(raw: i128) -> u64 {
    (raw & 0xFFFF_FFFF).try_into().unwrap_or(0)
}

#[cfg(target_vendor = "apple")]
pub(super) fn of(folder: &OwnedFd) -> io::Result<FileSystem> {
    let stat = fs::fstatfs(folder)?;
    let name: Vec<u8> = stat.f_fstypename.iter().map(|c| c.to_ne_bytes()).flatten().take_while(|b| *b != 0).collect();
    Ok(match name.as_slice() {
        b"nfs" => FileSystem::Network("nfs"),
        b"smbfs" => FileSystem::Network("smb"),
        b"afpfs" => FileSystem::Network("afp"),
        b"webdav" => FileSystem::Network("webdav"),
        other if other.windows(4).any(|w| w == b"fuse") => FileSystem::UserSpace,
        _ => FileSystem::Local,
    })
}
