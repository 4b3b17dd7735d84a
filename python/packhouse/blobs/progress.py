"""How far a long operation is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

__all__ = ["Progress", "ProgressCallback", "Tally"]


class Progress(NamedTuple):
    """What is done so far, all counted from the operation's beginning."""

    blobs: int
    """Blobs taken in or handed out; for `verify` segments and packs, told at its end and 0 before."""
    size: int
    """Their bytes, as far as they are processed."""
    total_blobs: int | None
    """How many there will be, where that is known."""


ProgressCallback: TypeAlias = Callable[[Progress], object]
"""Called on the event loop, after each group of blobs and, within a large one, a few times a second; must not block."""


class Tally:
    """Counts for one operation, and tells whoever wants to know."""

    __slots__ = ("_blobs", "_callback", "_size", "_total")

    def __init__(self, callback: ProgressCallback | None, total: int | None = None) -> None:
        self._callback = callback
        self._total = total or None
        self._blobs = 0
        self._size = 0

    @property
    def wanted(self) -> bool:
        """Whether anybody wants to know."""
        return self._callback is not None

    def add(self, blobs: int, size: int) -> None:
        """Note that so many more blobs and bytes are done."""
        self._blobs += blobs
        self._size += size
        if self._callback is not None:
            self._callback(Progress(self._blobs, self._size, self._total))
