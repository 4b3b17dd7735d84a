"""The files of objects in a folder: the one place that touches them. Blocking; `local` calls it in threads.

A file is written under a name of its own in `+local/staged`, synced, renamed into place, its folder synced. Its writer
holds a lock on it: one whose lock can be had is a dead writer's, and whoever opens the folder next removes it. Nothing
follows a symbolic link. A version is the file's time of change, which grows with every write of a name, its size and
inode.
"""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import stat
import time
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from packhouse.errors import InvalidInput, NameNotFound, StorageError
from packhouse.objects.contract import Bytes, ObjectInfo

__all__ = ["Folder"]

_OWN = "+local"  # no part of an object's name begins with a plus
_STAGING = f"{_OWN}/staged"
_LOCKS = 16
_READING = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """The root of the objects' files."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)

    def make(self) -> None:
        """Make the folder and what is ours in it; remove what dead writers have left."""
        staging = self.path / _STAGING
        staging.mkdir(parents=True, exist_ok=True)
        for left in staging.iterdir():
            with suppress(OSError):  # it has its name by now, or is not ours to remove
                file = os.open(left, _READING)
                try:
                    if _lock(file):
                        left.unlink()
                finally:
                    os.close(file)

    @contextmanager
    def _parent(self, name: str, *, make: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder that a name is in, link by link."""
        *folders, last = name.split("/")
        folder = os.open(self.path, _DIRECTORY & ~os.O_NOFOLLOW)
        try:
            for part in folders:
                if make:
                    with suppress(FileExistsError):
                        os.mkdir(part, dir_fd=folder)
                        os.fsync(folder)
                inner = os.open(part, _DIRECTORY, dir_fd=folder)
                os.close(folder)
                folder = inner
            yield folder, last
        finally:
            os.close(folder)

    @contextmanager
    def told(self, action: str, name: str) -> Iterator[None]:
        """Turn what the system says into our errors."""
        try:
            yield
        except FileNotFoundError as error:
            raise NameNotFound(f"cannot {action} {name}: there is no such object", kind="object-not-found") from error
        except NotADirectoryError as error:
            raise NameNotFound(f"cannot {action} {name}: there is no such object", kind="object-not-found") from error
        except OSError as error:
            if error.errno in (errno.EISDIR, errno.ELOOP):
                message = f"cannot {action} {name}: it is no object but a folder or a link"
                raise InvalidInput(message, kind="object-name") from error
            raise StorageError(f"cannot {action} {name}: {error.strerror}", errno=error.errno) from error

    def open(self, name: str) -> tuple[int, ObjectInfo]:
        """Open an object for reading; the descriptor is the caller's."""
        with self._parent(name) as (folder, last):
            file = os.open(last, _READING, dir_fd=folder)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            raise OSError(errno.EISDIR, "not a file")
        return file, _info(name, found)

    def read(self, name: str, target: memoryview, start: int) -> ObjectInfo:
        """Fill the target from a place in the object, and tell what was read."""
        file, info = self.open(name)
        try:
            done = 0
            while done < len(target):
                count = os.preadv(file, [target[done:]], start + done)
                if not count:
                    break
                done += count
        finally:
            os.close(file)
        return info

    def info(self, name: str) -> ObjectInfo:
        """Tell about an object."""
        file, info = self.open(name)
        os.close(file)
        return info

    def stage(self) -> tuple[int, str]:
        """Make a new file; its descriptor and its name in our own folder."""
        while True:
            name = f"{_STAGING}/{secrets.token_hex(16)}"
            file = os.open(self.path / name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
            if _lock(file) and os.fstat(file).st_nlink:
                return file, name
            os.close(file)  # taken for a dead writer's before it was locked

    def drop(self, staged: str) -> None:
        """Remove a staged file that gets no name."""
        with suppress(FileNotFoundError):
            (self.path / staged).unlink()

    def publish(self, file: int, staged: str, name: str) -> ObjectInfo:
        """Make a staged file durable and give it its name, later in time than what had it."""
        with self._parent(name, make=True) as (folder, last):
            now = time.time_ns()
            with suppress(FileNotFoundError):
                now = max(now, os.stat(last, dir_fd=folder, follow_symlinks=False).st_mtime_ns + 1)
            os.utime(file, ns=(now, now))
            os.fsync(file)
            os.rename(self.path / staged, last, dst_dir_fd=folder)
            os.fsync(folder)
        return _info(name, os.fstat(file))

    def remove(self, name: str) -> None:
        """Remove an object; one that is gone is no error."""
        with suppress(FileNotFoundError, NotADirectoryError), self._parent(name) as (folder, last):
            os.unlink(last, dir_fd=folder)
            os.fsync(folder)

    def walk(self, prefix: str) -> Iterator[ObjectInfo]:
        """Tell the objects whose names begin so."""
        start = prefix.rpartition("/")[0]
        pending = [start] if start else [""]
        while pending:
            inner = pending.pop()
            try:
                entries = list(os.scandir(self.path / inner))
            except (FileNotFoundError, NotADirectoryError):
                continue
            for entry in entries:
                name = f"{inner}/{entry.name}" if inner else entry.name
                if name == _OWN or not (name.startswith(prefix) or prefix.startswith(name + "/")):
                    continue
                if entry.is_dir(follow_symlinks=False):
                    pending.append(name)
                elif entry.is_file(follow_symlinks=False):
                    with suppress(FileNotFoundError):
                        yield _info(name, entry.stat(follow_symlinks=False))

    def try_lock(self, name: str) -> int | None:
        """Take the lock that guards a name, without waiting: a descriptor that holds it until it is closed."""
        which = zlib.crc32(name.encode()) % _LOCKS
        file = os.open(self.path / _OWN / f"lock-{which:x}", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        if not _lock(file):
            os.close(file)
            return None
        return file


def _lock(file: int) -> bool:
    """Take a file's lock without waiting; return whether it was to be had."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def write_all(file: int, piece: Bytes) -> int:
    """Append a piece to a staged file; return its bytes."""
    view = memoryview(piece).cast("B")
    done = 0
    while done < len(view):
        done += os.write(file, view[done:])
    return done


def _info(name: str, found: os.stat_result) -> ObjectInfo:
    version = f"{found.st_mtime_ns:x}-{found.st_size:x}-{found.st_ino:x}"
    return ObjectInfo(name, found.st_size, version, found.st_mtime_ns / 1e9)
