//! Reading, writing and syncing open files: interrupted calls are repeated, short ones go on.

use std::io::{self, IoSlice, IoSliceMut};

use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{self, FileType};
use rustix::io::Errno;

use super::beneath::retry;
use crate::disk::File;

/// Bytes that one call reads at most: where Linux does not preempt what it does for a process, no other thread gets the core meanwhile.
/// See docs/decisions/012.
const AT_ONCE: usize = 1 << 20;

/// Bytes of a huge page on most machines; elsewhere some pages more are looked at, or fewer.
const HUGE_PAGE: usize = 2 << 20;

/// An open regular file.
#[derive(Debug)]
pub(super) struct RealFile {
    fd: OwnedFd,
}

impl RealFile {
    /// Refuses what is no regular file.
    pub(super) fn new(fd: OwnedFd) -> io::Result<Self> {
        match FileType::from_raw_mode(fs::fstat(&fd)?.st_mode) {
            FileType::RegularFile => Ok(Self { fd }),
            FileType::Directory => Err(Errno::ISDIR.into()),
            _ => Err(Errno::INVAL.into()),
        }
    }
}

impl File for RealFile {
    fn read_at(&self, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
        read_at(&self.fd, buffers, offset)
    }

    fn len(&self) -> io::Result<u64> {
        u64::try_from(fs::fstat(&self.fd)?.st_size).map_err(|_| Errno::OVERFLOW.into())
    }

    fn sync(&self) -> io::Result<()> {
        sync_data(&self.fd)
    }
}

/// Fill `buffers` from `offset`, as far as the file goes.
pub(super) fn read_at(fd: &OwnedFd, buffers: &mut [IoSliceMut<'_>], offset: u64) -> io::Result<usize> {
    let wanted = total(buffers.iter().map(|b| b.len()))?;
    let mut done = 0;
    while done < wanted {
        let at = place(offset, done)?;
        let read = if done == 0 && wanted <= AT_ONCE {
            read_once(fd, buffers, at)?
        } else {
            read_once(fd, &mut next_mut(buffers, done, AT_ONCE), at)?
        };
        if read == 0 {
            break;
        }
        done = done.checked_add(read).ok_or(Errno::OVERFLOW)?;
    }
    Ok(done)
}

fn read_once(fd: &OwnedFd, buffers: &mut [IoSliceMut<'_>], at: u64) -> io::Result<usize> {
    buffers.iter_mut().for_each(|buffer| touch(buffer));
    // A list of one costs the system a tenth of a look-up.
    Ok(match buffers {
        [one] => retry(|| rustix::io::pread(fd, &mut **one, at))?,
        many => retry(|| rustix::io::preadv(fd, many, at))?,
    })
}

/// Have the system find the huge pages of fresh memory before a call reads into them.
///
/// Linux keeps all of the process's memory from being changed while it clears a page that a *system call* writes to first, and only the
/// page's own mapping when the program itself does. A thread that asks for memory meanwhile waits for 2 MiB to be cleared, and that
/// thread may hold Python's lock.
fn touch(buffer: &mut [u8]) {
    let first = buffer.as_ptr().align_offset(HUGE_PAGE);
    let pages = buffer.get_mut(first..).unwrap_or_default();
    pages.iter_mut().step_by(HUGE_PAGE).for_each(|byte| *byte = 0);
}

/// Write all of `buffers` from `offset`.
pub(super) fn write_at(fd: &OwnedFd, buffers: &[IoSlice<'_>], offset: u64) -> io::Result<()> {
    let wanted = total(buffers.iter().map(|b| b.len()))?;
    let mut done = 0;
    while done < wanted {
        let at = place(offset, done)?;
        let written = if done == 0 {
            retry(|| rustix::io::pwritev(fd, buffers, at))?
        } else {
            let rest = rest(buffers, done);
            retry(|| rustix::io::pwritev(fd, &rest, at))?
        };
        if written == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        done = done.checked_add(written).ok_or(Errno::OVERFLOW)?;
    }
    Ok(())
}

/// Make a file's bytes, or a folder's names, durable: through the drive's cache too.
pub(super) fn full_sync(fd: OwnedFd) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    if fs::fcntl_fullfsync(&fd).is_ok() {
        return Ok(());
    }
    Ok(fs::fsync(&fd)?)
}

/// Make a file's bytes and what is needed to read them back durable. Never repeated, not even after a signal: a second call can succeed although the first lost data.
pub(super) fn sync_data(fd: &OwnedFd) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    {
        Ok(fs::fcntl_fullfsync(fd)?)
    }
    #[cfg(not(target_vendor = "apple"))]
    {
        Ok(fs::fdatasync(fd)?)
    }
}

/// Make everything of the file system that holds `folder` durable.
pub(super) fn sync_file_system(folder: &OwnedFd) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        Ok(fs::syncfs(folder)?)
    }
    #[cfg(not(target_os = "linux"))]
    {
        fs::sync();
        full_sync(folder.try_clone()?)
    }
}

/// The time of the last change, in milliseconds since 1970.
pub(super) fn modified_ms(fd: impl AsFd) -> io::Result<i64> {
    Ok(super::modified_ms(&fs::fstat(fd)?))
}

fn total(mut lengths: impl Iterator<Item = usize>) -> io::Result<usize> {
    lengths.try_fold(0_usize, usize::checked_add).ok_or_else(|| Errno::OVERFLOW.into())
}

fn place(offset: u64, done: usize) -> io::Result<u64> {
    u64::try_from(done).ok().and_then(|done| offset.checked_add(done)).ok_or_else(|| Errno::OVERFLOW.into())
}

/// The buffers behind the first `skip` bytes.
fn rest<'a>(buffers: &'a [IoSlice<'_>], mut skip: usize) -> Vec<IoSlice<'a>> {
    let mut rest = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        match buffer.get(skip..) {
            Some(tail) => {
                skip = 0;
                rest.push(IoSlice::new(tail));
            }
            None => skip = skip.saturating_sub(buffer.len()),
        }
    }
    rest
}

/// The buffers behind the first `skip` bytes, up to `most` bytes of them.
fn next_mut<'a>(buffers: &'a mut [IoSliceMut<'_>], mut skip: usize, mut most: usize) -> Vec<IoSliceMut<'a>> {
    let mut next = Vec::with_capacity(buffers.len());
    for buffer in buffers {
        if most == 0 {
            break;
        }
        let length = buffer.len();
        match buffer.get_mut(skip..) {
            Some(tail) => {
                skip = 0;
                let taken = tail.len().min(most);
                most = most.saturating_sub(taken);
                next.push(IoSliceMut::new(tail.get_mut(..taken).unwrap_or_default()));
            }
            None => skip = skip.saturating_sub(length),
        }
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_behind_a_short_write_are_not_lost_or_doubled() {
        let (a, b, c) = ([1, 2, 3], [], [4, 5]);
        let all = [IoSlice::new(&a), IoSlice::new(&b), IoSlice::new(&c)];
        for skip in 0..=5 {
            let left: Vec<u8> = rest(&all, skip).iter().flat_map(|s| s.to_vec()).collect();
            assert_eq!(left, [1, 2, 3, 4, 5][skip..]);
        }
        let (mut a, mut c) = ([0; 3], [0; 2]);
        let mut all = [IoSliceMut::new(&mut a), IoSliceMut::new(&mut []), IoSliceMut::new(&mut c)];
        for skip in 0..=5 {
            for most in 0..=5 {
                let next = next_mut(&mut all, skip, most);
                assert_eq!(next.iter().map(|s| s.len()).sum::<usize>(), most.min(5 - skip));
            }
        }
    }
}
