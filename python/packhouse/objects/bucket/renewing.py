"""Credentials that end: read in a thread, renewed by one task while the others go on with the old ones.

What reads them may block for as long as it likes. Whoever waits for it can be cancelled; the thread then goes on by
itself, and what it brings is used by those who come later.
"""

from __future__ import annotations

import threading
import time
from typing import Generic, Protocol, TypeVar

import anyio
from anyio import to_thread

from packhouse.errors import StorageError

__all__ = ["Renewing", "Source", "failed"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_PAUSE = 10.0
_BOUND = 1.0
"""Seconds that a renewal is waited for while the old ones are good."""
_GLANCE = 0.05


class Source(Protocol[T_co]):
    """Where credentials come from."""

    early: float
    """Seconds before their end at which they are renewed."""
    late: float
    """Seconds before their end at which they are used no longer."""

    def read(self) -> T_co:
        """Return what is good now, renewed if need be; blocks.

        Raises:
            StorageError: there is nothing good.
        """

    def ends_within(self, seconds: float) -> bool:
        """Say whether what was read last ends so soon."""


class Renewing(Generic[T]):
    """Credentials that are good.

    Args:
        source: reads them.
    """

    def __init__(self, source: Source[T]) -> None:
        self._source = source
        self._lock = anyio.Lock()
        self._reading = threading.Lock()  # held by the thread, which may outlive the task that started it
        self._now: T | None = None
        self._next = 0.0
        self.renewals = 0

    async def current(self) -> T:
        """Return what to sign with now.

        Raises:
            StorageError: they have ended and cannot be renewed.
        """
        source, now = self._source, self._now
        if now is not None and not self._due():
            return now
        if now is None or source.ends_within(source.late):
            return await self._renewed()
        if self._lock.locked() or self._reading.locked():
            return now  # another task is at it
        with anyio.move_on_after(_BOUND):
            try:
                return await self._renewed()
            except StorageError:
                pass
        self._next = time.monotonic() + _PAUSE
        return now

    async def _renewed(self) -> T:
        """Return what is good, read anew unless somebody else was faster."""
        async with self._lock:
            while self._reading.locked():  # noqa: ASYNC110 - a thread has it whose task was cancelled: nobody tells
                await anyio.sleep(_GLANCE)
            now = self._now
            if now is not None and not self._due():
                return now
            return await to_thread.run_sync(self._read, abandon_on_cancel=True)

    def _read(self) -> T:
        """Read them, in a thread."""
        with self._reading:
            now = self._now = self._source.read()
            self.renewals += 1
            self._next = time.monotonic() + _PAUSE if self._source.ends_within(self._source.early) else 0.0
            return now

    def _due(self) -> bool:
        """Say whether to renew: at the end at once; before it now and then, where the last time brought nothing."""
        source = self._source
        if time.monotonic() < self._next:
            return source.ends_within(source.late)
        return source.ends_within(source.early)


def failed(error: Exception, hint: str) -> StorageError:
    """Return what a foreign exception about credentials becomes: its text may hold secrets."""
    message = f"the credentials could not be read ({type(error).__name__}); {hint}"
    return StorageError(message, kind="bad-credentials")
