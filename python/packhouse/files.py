"""Users' own files: sources that are saved, and folders that are restored.

Everything here blocks: it is called in worker threads. The store's own files are the engine's alone.
"""

from __future__ import annotations

import os
import select
import stat
import sys
from collections.abc import Callable
from contextlib import suppress
from io import FileIO
from typing import TYPE_CHECKING, TypeAlias

from packhouse.errors import PackhouseError, StorageError

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["PIECE", "Folder", "PathSource", "Stopped", "go_on", "may_wait", "never", "wait_readable"]

PIECE = 8 << 20
"""Bytes that are read or written at once, at most."""

Stopped: TypeAlias = Callable[[], bool]
"""Tells whether what is being done is to stop, because it was cancelled or the store closed."""

_LOOK_MS = 50
"""Milliseconds after which a wait looks whether it is to stop."""
# Elsewhere one that is opened so, and that nobody writes yet, looks like one at its end.
_PATIENT_PIPES = sys.platform == "linux"

_NEW_FILE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


def never() -> bool:
    """Tell that there is nothing that could stop it."""
    return False


def go_on(stopped: Stopped) -> None:
    """Go on unless it is to stop.

    Raises:
        PackhouseError: it is (kind `cancelled`).
    """
    if stopped():
        raise PackhouseError("the operation was cancelled", kind="cancelled")


def may_wait(fd: int) -> bool:
    """Tell whether a read may wait for somebody: of a pipe, a socket or a terminal."""
    mode = os.fstat(fd).st_mode
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode) or os.isatty(fd)


def wait_readable(fd: int, stopped: Stopped) -> None:
    """Wait until a read would give bytes, or the end; a read itself could not be woken.

    Raises:
        PackhouseError: it is to stop (kind `cancelled`).
    """
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    while not poll.poll(_LOOK_MS):
        go_on(stopped)


class PathSource:
    """A user's file, read once from beginning to end.

    Args:
        path: the file; a pipe or a device is read to its end.
        what: how messages call it, "item 3" for instance.
        follow: whether the path may be a symbolic link.
        size: bytes of the file, where its owner has asked already.
    """

    __slots__ = ("_before", "_file", "_follow", "_path", "_read", "_what", "size")

    def __init__(self, path: str | bytes, what: str, *, follow: bool = True, size: int | None = None) -> None:
        self._path = path
        self.size = size
        self._follow = follow
        self._what = what
        self._file: FileIO | None = None
        self._before: os.stat_result | None = None
        self._read = 0

    def __fspath__(self) -> str:
        return os.fsdecode(self._path)

    def piece(self, stopped: Stopped = never, /) -> bytes:
        """Read the next bytes, at most `PIECE`; b"" at the end.

        Args:
            stopped: ends the wait for whoever writes into a pipe.

        Raises:
            PackhouseError: it was stopped (kind `cancelled`).
            StorageError: it cannot be read, or it changed since its first piece was read.
        """
        try:
            if self._file is None or self._before is None:
                flags = self._flags()
                self._file = FileIO(self._path, opener=lambda path, _: os.open(path, flags))
                self._before = os.fstat(self._file.fileno())
            # Files of /proc and the like say nothing about their size and have no blocks.
            sized = stat.S_ISREG(self._before.st_mode) and self._before.st_blocks > 0
            left = self._before.st_size - self._read if sized else PIECE
            if not stat.S_ISREG(self._before.st_mode):
                wait_readable(self._file.fileno(), stopped)
            piece = self._file.read(min(PIECE, max(left, 0) + 1))
            while piece is None:  # somebody else has taken what was there
                wait_readable(self._file.fileno(), stopped)
                piece = self._file.read(PIECE)
            self._read += len(piece)
            if not piece or len(piece) > left:
                self._check_unchanged(self._before, os.fstat(self._file.fileno()))
        except OSError as error:
            raise self._failed(error) from error
        return piece

    def close(self) -> None:
        """Close the file, whether it was read to the end or not."""
        if self._file is not None:
            self._file.close()

    def _flags(self) -> int:
        """Return how to open it: a pipe that nobody writes yet would keep the thread that opens it."""
        flags = os.O_RDONLY | os.O_CLOEXEC | (0 if self._follow else os.O_NOFOLLOW)
        if _PATIENT_PIPES and not self.size:  # of a pipe there is no size
            status = os.stat(self._path, follow_symlinks=self._follow)  # noqa: PTH116 - os paths may hold any bytes
            flags |= os.O_NONBLOCK if stat.S_ISFIFO(status.st_mode) else 0
        return flags

    def _check_unchanged(self, before: os.stat_result, after: os.stat_result) -> None:
        if not stat.S_ISREG(before.st_mode):
            return
        cut = self._read != before.st_size and before.st_blocks > 0
        if cut or (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            message = (
                f"{self._what}: {os.fsdecode(self._path)!r} changed while it was read: "
                f"{before.st_size} bytes at the beginning, {self._read} read, {after.st_size} at the end"
            )
            raise StorageError(message, kind="source-changed")

    def _failed(self, error: OSError) -> StorageError:
        if isinstance(error, StorageError):
            return error
        kind = "source-missing" if isinstance(error, FileNotFoundError) else "source-unreadable"
        reason = "is a folder: save it with save_tree" if isinstance(error, IsADirectoryError) else error.strerror
        message = f"{self._what}: cannot read {os.fsdecode(self._path)!r}: {reason}"
        return StorageError(message, kind=kind, errno=error.errno)


class Folder:
    """A folder of a user's, held open: what is made in it stays in it, whatever symbolic links are planted.

    Every name is one part of a path: never empty, `.`, `..`, or with a slash.
    """

    __slots__ = ("_fd", "made", "shown")

    def __init__(self, fd: int, shown: str, *, made: bool = False) -> None:
        self._fd = fd
        self.shown = shown
        self.made = made
        """Whether it was not there before."""

    @classmethod
    def make(cls, path: str) -> Folder:
        """Open a folder the caller named, making it and its parents; here links are the caller's own and followed."""
        try:
            os.makedirs(path, exist_ok=True)  # noqa: PTH103 - os paths may hold any bytes
            return cls(os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC), path)
        except OSError as error:
            raise _restore_failed(path, error) from error

    def folder(self, name: str) -> Folder:
        """Open a folder in this one, making it if there is none."""
        shown = self._shown(name)
        try:
            made = False
            with suppress(FileExistsError):
                os.mkdir(name, 0o700, dir_fd=self._fd)
                made = True
            return Folder(os.open(name, _FOLDER, dir_fd=self._fd), shown, made=made)
        except OSError as error:
            raise _restore_failed(shown, error) from error

    def write(self, name: str, mode: int, fill: Callable[[Callable[[Buffer], None]], None]) -> None:
        """Make a file that did not exist; `fill` is given a function that appends to it.

        What `fill` raises, and a failed write, leave no file behind.
        """
        shown = self._shown(name)
        try:
            fd = os.open(name, _NEW_FILE, 0o600, dir_fd=self._fd)
        except OSError as error:
            raise _restore_failed(shown, error) from error
        done = False
        try:
            fill(lambda piece: _write_all(fd, piece))
            os.fchmod(fd, mode)
            done = True
        except OSError as error:
            if isinstance(error, PackhouseError):
                raise
            raise _restore_failed(shown, error) from error
        finally:
            os.close(fd)
            if not done:
                with suppress(OSError):  # why it is not done is what the caller has to know
                    os.unlink(name, dir_fd=self._fd)

    def link(self, name: str, target: str) -> None:
        """Make a symbolic link that did not exist; its target is kept as text and never followed."""
        try:
            os.symlink(target, name, dir_fd=self._fd)
        except OSError as error:
            raise _restore_failed(self._shown(name), error) from error

    def set_mode(self, mode: int) -> None:
        """Set the permissions of this folder."""
        try:
            os.fchmod(self._fd, mode)
        except OSError as error:
            raise _restore_failed(self.shown, error) from error

    def close(self) -> None:
        """Let go of the folder."""
        os.close(self._fd)

    def _shown(self, name: str) -> str:
        return f"{self.shown}/{name}"


def _write_all(fd: int, piece: Buffer) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(fd, view) :]


def _restore_failed(path: str, error: OSError) -> StorageError:
    kind = "target-exists" if isinstance(error, FileExistsError) else "target-unwritable"
    return StorageError(f"cannot write {path!r}: {error.strerror}", kind=kind, errno=error.errno)
