"""The event loop's turns, beside code of callers that may never wait for anything."""

from __future__ import annotations

import time

from anyio.lowlevel import checkpoint

__all__ = ["SLICE_SECONDS", "Turns"]

SLICE_SECONDS = 0.002
"""How long the loop goes without a turn because of us."""


class Turns:
    """Tells when the loop is due its turn, and gives it: `if turns.due(): await turns.give()`."""

    __slots__ = ("_next",)

    def __init__(self) -> None:
        self._next = time.monotonic() + SLICE_SECONDS

    def due(self) -> bool:
        """Return whether it has gone without one for long enough."""
        return time.monotonic() >= self._next

    async def give(self) -> None:
        """Let the loop have its turn."""
        await checkpoint()
        self._next = time.monotonic() + SLICE_SECONDS
