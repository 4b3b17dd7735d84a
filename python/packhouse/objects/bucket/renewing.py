"""Credentials that end: read in a thread, renewed by one task while the others go on with the old ones."""

from __future__ import annotations

import time
from typing import Generic, Protocol, TypeVar

import anyio
from anyio import to_thread

from packhouse.errors import StorageError

__all__ = ["Renewing", "Source", "failed"]

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)
_PAUSE = 10.0


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
        ended = now is None or source.ends_within(source.late)
        if now is not None and not ended and self._lock.locked():
            return now  # another task is at it
        async with self._lock:
            if self._now is not None and not self._due():
                return self._now
            try:
                self._now = await to_thread.run_sync(source.read)
                self.renewals += 1
            except StorageError:
                if ended or self._now is None:
                    raise
            self._next = time.monotonic() + _PAUSE if source.ends_within(source.early) else 0.0
            return self._now

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
