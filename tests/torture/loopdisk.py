"""A file system in a file, whose power can be cut: the shutdown ioctl, then a remount that replays the journal."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

SHUTDOWN = 0x8004587D  # EXT4_IOC_SHUTDOWN, XFS_IOC_GOINGDOWN: the same number
LOG_FLUSHED, LOG_LOST = 1, 2
"""With the log flushed, names survive and unsynced bytes do not: finds a missing fsync of a file at once.
With the log lost, what was not synced is gone: finds a missing fsync of a folder."""

MAKE = {
    "ext4": (["mkfs.ext4", "-q", "-F", "-b", "4096"], "96M", "commit=1"),
    "xfs": (["mkfs.xfs", "-q", "-f"], "304M", "defaults"),
}


class LoopDisk:
    """One loop-mounted image."""

    def __init__(self, folder: Path, kind: str) -> None:
        self.kind = kind
        self.image = folder / f"{kind}.img"
        self.place = folder / f"{kind}.mnt"
        self.options = MAKE[kind][2]
        self._mounted = False

    def make(self) -> None:
        """A new, empty file system, mounted."""
        self.unmount()
        self.place.mkdir(exist_ok=True)
        command, size, _ = MAKE[self.kind]
        self.image.unlink(missing_ok=True)
        _run("truncate", "-s", size, str(self.image))
        _run(*command, str(self.image))
        self.mount()

    def mount(self) -> None:
        """Mount, which replays the journal."""
        _run("mount", "-o", f"loop,{self.options}", str(self.image), str(self.place))
        self._mounted = True

    def cut(self, flag: int) -> None:
        """The power goes now. What the kernel still holds in memory never reaches the image."""
        fd = os.open(self.place, os.O_RDONLY)
        try:
            fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", flag))
        finally:
            os.close(fd)

    def unmount(self) -> None:
        """Unmount; the dying writers may hold it for a moment."""
        if not self._mounted:
            return
        for attempt in range(50):
            if subprocess.run(["umount", str(self.place)], capture_output=True, check=False).returncode == 0:
                self._mounted = False
                return
            time.sleep(0.02 * (attempt + 1))
        _run("umount", "-l", str(self.place))
        self._mounted = False

    def power_on(self) -> None:
        """After a cut: unmount and mount again."""
        self.unmount()
        self.mount()


@contextmanager
def loop_disk(folder: Path, kind: str) -> Iterator[LoopDisk]:
    """A file system in `folder`, unmounted at the end."""
    disk = LoopDisk(folder, kind)
    try:
        disk.make()
        yield disk
    finally:
        disk.unmount()


def why_not(kind: str, folder: Path) -> str | None:
    """Why the power of such a disk cannot be cut here; `None` when it can. Tried, not guessed."""
    if os.geteuid() != 0:
        return "not root"
    if shutil.which(MAKE[kind][0][0]) is None:
        return f"{MAKE[kind][0][0]} is not installed"
    try:
        with loop_disk(folder, kind) as disk:
            (disk.place / "unsynced").write_bytes(b"x")
            disk.cut(LOG_LOST)
            disk.power_on()
            if (disk.place / "unsynced").exists():
                return f"the shutdown ioctl loses nothing on this {kind}"
    except (OSError, subprocess.CalledProcessError) as error:
        detail = getattr(error, "stderr", b"") or str(error).encode()
        return f"no loop mount of {kind}: {detail.decode(errors='replace').strip()[:160]}"
    return None


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)
