"""Files written the careful way (temporary, fsync, rename, fsync of the folder), or carelessly on request."""

from __future__ import annotations

import fcntl
import os
import secrets
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TypeVar

import anyio

from tests.torture.naive.bugs import Uncertain

T = TypeVar("T")


class Withdrawn(Exception):
    """The caller was cancelled before the commit."""


class Disk:
    """One writer's hands on a folder."""

    def __init__(self, root: Path, bugs: frozenset[str]) -> None:
        self.root = root
        self.bugs = bugs
        self.writer = secrets.token_hex(8)
        self._lock: int | None = None
        self._starting = threading.Lock()

    def begin(self) -> None:
        """Before the first write: take the writer's lock and remove what dead writers left."""
        with self._starting:
            if self._lock is not None:
                return
            path = self.root / "writers" / self.writer
            fd = os.open(path, os.O_CREAT | os.O_RDWR, 0o644)
            fcntl.flock(fd, fcntl.LOCK_EX)
            self._lock = fd
            if "no_cleanup" not in self.bugs:
                for other in (self.root / "writers").iterdir():
                    if other.name != self.writer:
                        self._bury(other)

    def _bury(self, lock: Path) -> None:
        try:
            fd = os.open(lock, os.O_RDWR)
        except FileNotFoundError:
            return
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return
        else:
            self._remove_of(lock.name)
            lock.unlink(missing_ok=True)
        finally:
            os.close(fd)

    def _remove_of(self, writer: str) -> None:
        theirs = [file for file in (self.root / "blobs").iterdir() if file.name.startswith(writer)]
        used = " ".join(file.read_text(errors="replace") for file in (self.root / "index").iterdir())
        for file in theirs:
            if file.name not in used:
                file.unlink(missing_ok=True)
        for file in (self.root / "tmp").iterdir():
            if file.name.startswith(writer):
                file.unlink(missing_ok=True)

    def end(self) -> None:
        """Give the writer's lock back."""
        if self._lock is not None:
            (self.root / "writers" / self.writer).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def write(self, folder: str, name: str, pieces: Iterable[bytes], withdrawn: threading.Event | None = None) -> Path:
        """A whole new file, or nothing."""
        final = self.root / folder / name
        place = final if "in_place" in self.bugs else self.root / "tmp" / f"{self.writer}-{secrets.token_hex(4)}"
        fd = os.open(place, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o644)
        published = False
        try:
            for piece in pieces:
                view = memoryview(piece)
                while view:
                    view = view[os.write(fd, view) :]
                if withdrawn is not None and withdrawn.is_set():
                    raise Withdrawn
            if "no_fsync" not in self.bugs:
                self._sync(fd)
            if place != final:
                place.rename(final)
            published = True
            self.sync_folder(folder)
        except OSError as error:
            if published and folder != "blobs":
                raise Uncertain(f"could not sync {folder} after publishing {name}") from error
            raise
        finally:
            if not published and "abandon" not in self.bugs:
                place.unlink(missing_ok=True)
            if "leak_descriptor" not in self.bugs:
                os.close(fd)
        return final

    def sync_folder(self, folder: str) -> None:
        """Make the folder's names durable."""
        if "no_dir_sync" in self.bugs:
            return
        fd = os.open(self.root / folder, os.O_RDONLY)
        try:
            self._sync(fd)
        finally:
            os.close(fd)

    def _sync(self, fd: int) -> None:
        try:
            os.fsync(fd)
        except OSError:
            if "sync_retried" not in self.bugs:
                raise
            os.fsync(fd)


async def in_thread(work: Callable[[threading.Event], T], *, abandon: bool = False) -> T:
    """Run `work` in a thread of its own; cancelled, ask it to withdraw and wait for what it says."""
    withdrawn, done = threading.Event(), anyio.Event()
    outcome: list[T] = []
    failure: list[BaseException] = []
    token = anyio.lowlevel.current_token()

    def run() -> None:
        try:
            outcome.append(work(withdrawn))
        except BaseException as error:  # noqa: BLE001 - handed to the waiter
            failure.append(error)
        finally:
            anyio.from_thread.run_sync(done.set, token=token)

    thread = threading.Thread(target=run)
    thread.start()
    cancelled: BaseException | None = None
    while not done.is_set():
        try:
            with anyio.CancelScope(shield=cancelled is not None):
                await done.wait()
        except anyio.get_cancelled_exc_class() as error:
            if abandon:
                raise
            cancelled = error
            withdrawn.set()
    thread.join()
    if failure:
        if cancelled is not None and isinstance(failure[0], Withdrawn):
            raise cancelled
        raise failure[0]
    return outcome[0]
