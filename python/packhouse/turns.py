"""The event loop's turns, beside code that may never wait: callers' iterables, lists of a thousand names."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TypeVar

from anyio.lowlevel import checkpoint

__all__ = ["SLICE_SECONDS", "Turns", "in_turns"]

T = TypeVar("T")

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


async def in_turns(items: Iterable[T]) -> list[T]:
    """Make a list of what takes its time to be made, one by one."""
    turns = Turns()
    made: list[T] = []
    for item in items:
        made.append(item)
        if turns.due():
            await turns.give()
    return made
