"""The disk under the stores: sync it, let it come to rest, count what lies on it."""

from __future__ import annotations

import array
import ctypes
import fcntl
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benches.measure import lap

if TYPE_CHECKING:
    from collections.abc import Sequence


def write_files(folder: Path, contents: Sequence[bytes]) -> float:
    """Make a file of each, durably and each whole or not at all, and tell the seconds: with two syncs for all of them.

    They are written under other names and synced, renamed and synced again.
    """
    folder.mkdir()
    with lap() as spent:
        for number, content in enumerate(contents):
            (folder / f"{number}.new").write_bytes(content)
        sync_file_system(folder)
        for number in range(len(contents)):
            (folder / f"{number}.new").rename(folder / f"{number}")
        sync_file_system(folder)
    return spent.seconds


class Usage(NamedTuple):
    """What a folder takes: bytes by the files' lengths, bytes by their blocks, number of files."""

    length: int
    blocks: int
    files: int


def usage(folder: Path) -> Usage:
    """Count what lies under a folder."""
    length = blocks = files = 0
    for parent, _, names in os.walk(folder):
        for name in names:
            status = Path(parent, name).lstat()
            length += status.st_size
            blocks += status.st_blocks * 512
            files += 1
    return Usage(length, blocks, files)


def sync_file_system(folder: Path) -> None:
    """Make everything on the folder's file system durable: what a peer that never syncs needs after a save."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        if syncfs(descriptor) != 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error), str(folder))
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Make a folder's own entries durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_GET_FLAGS, _SET_FLAGS, _TOP_FOLDER = 0x80086601, 0x40086602, 0x00020000  # linux/fs.h


def spread(folder: Path) -> None:
    """Ask the file system to put each folder in this one somewhere else (ext4: the flag of `chattr +T`).

    For minutes after files were deleted, ext4 passes over their inodes one by one for each file that is made near them:
    10,000 files take 10 s then instead of half a second, whoever makes them.
    """
    flags = array.array("i", [0])
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.ioctl(descriptor, _GET_FLAGS, flags, True)
        flags[0] |= _TOP_FOLDER
        fcntl.ioctl(descriptor, _SET_FLAGS, flags, True)
    except OSError:
        return  # another file system, or another user's
    finally:
        os.close(descriptor)


def settle(folder: Path, *, patience_seconds: float) -> None:
    """Write out what is dirty and wait until the disk is idle, so that nobody pays for the one before."""
    sync_file_system(folder)
    deadline = time.monotonic() + patience_seconds
    before = _requests(folder)
    while before is not None and time.monotonic() < deadline:
        time.sleep(0.1)
        now = _requests(folder)
        if now == before:
            return
        before = now


def _requests(folder: Path) -> tuple[int, ...] | None:
    """Tell the disk's counters (reads, writes, discards, flushes done), or None where the system does not say."""
    device = folder.stat().st_dev
    try:
        lines = Path("/proc/diskstats").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        fields = line.split()
        if (int(fields[0]), int(fields[1])) == (os.major(device), os.minor(device)):
            return tuple(int(fields[at]) for at in (3, 7, 14, 18) if at < len(fields))
    return None


def warm(folder: Path, size: int, memory: int) -> None:
    """Touch disk blocks and memory once: in a virtual machine the first use of either costs several times more.

    A GiB of memory that nobody had used since a machine booted took 3 s, and half a second from then on.
    """
    block = b"\1" * (8 << 20)
    held = [bytes(bytearray(block)) for _ in range(max(min(memory, _unused() * 3 // 4) // len(block), 1))]
    path = folder / "warm"
    with path.open("wb") as file:
        for number in range(max(size // len(block), 1)):
            file.write(held[number % len(held)])
        os.fdatasync(file.fileno())
    path.unlink()
    sync_file_system(folder)


def _unused() -> int:
    """Tell how many bytes of memory nothing is in."""
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
