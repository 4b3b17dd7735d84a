"""How much is in flight: less while the service throttles; and how much may be tried again during an outage."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

__all__ = ["Budget", "Gate"]


class Gate:
    """At most so many requests at once, bodies included: a third less when throttled, slowly more afterwards.

    Args:
        most: the bound while nobody throttles.
        shared: places that others take as well.
    """

    def __init__(self, most: int, shared: anyio.CapacityLimiter | None = None) -> None:
        self.beginning = anyio.Lock()
        """Taken for a moment before a request is made ready: of many that come together one begins in each turn of the
        event loop, and none waits for the credentials of another."""
        self._shared = shared
        self._most = most
        self._allowed = float(most)
        self._limiter = anyio.CapacityLimiter(most)
        self._last = 0.0

    @property
    def allowed(self) -> int:
        """Requests that may be in flight now."""
        return int(self._allowed)

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[None]:
        """Hold one place, and one of those that are shared."""
        async with _held(self._limiter):
            if self._shared is None:
                yield
                return
            async with _held(self._shared):
                yield

    def throttled(self) -> None:
        """Allow a third less; answers to requests that were in flight together count once."""
        now = time.monotonic()
        if now - self._last > 0.2:
            self._last = now
            self._set(self._allowed * 2 / 3)

    def went_well(self) -> None:
        """Allow one more after as many good answers as are allowed."""
        if self._allowed < self._most:
            self._set(self._allowed + 1 / self._allowed)

    def _set(self, allowed: float) -> None:
        self._allowed = min(max(allowed, 1.0), self._most)
        if int(self._allowed) != self._limiter.total_tokens:
            self._limiter.total_tokens = int(self._allowed)


@asynccontextmanager
async def _held(limiter: anyio.CapacityLimiter) -> AsyncIterator[None]:
    holder = object()
    await checkpoint_if_cancelled()
    try:
        limiter.acquire_on_behalf_of_nowait(holder)
    except anyio.WouldBlock:
        await limiter.acquire_on_behalf_of(holder)
    try:
        yield
    finally:
        limiter.release_on_behalf_of(holder)


class Budget:
    """Tries beyond the first: each costs one, ten good answers earn one. Without it an outage multiplies the load.

    Args:
        most: how many can be saved up; there at the start.
    """

    def __init__(self, most: int = 60) -> None:
        self._most = most
        self.left = float(most)

    def spend(self) -> bool:
        """Take one; `False` when there is none."""
        if self.left < 1:
            return False
        self.left -= 1
        return True

    def earn(self) -> None:
        """Note a good answer."""
        self.left = min(self._most, self.left + 0.1)
