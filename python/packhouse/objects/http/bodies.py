"""What is sent: buffers that are never joined, and can be sent again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

import httpx

from packhouse.objects.contract import Bytes

__all__ = ["PIECE", "Buffers"]

PIECE = 1 << 20
"""Bytes that are handed to a foreign transport at once: its write timeout is for one piece."""


class Buffers(httpx.AsyncByteStream):
    """A request's body of known length. It can be iterated again and again, and is not copied.

    Args:
        buffers: the bytes, one buffer after the other.
    """

    def __init__(self, buffers: Sequence[Bytes] = ()) -> None:
        self.views = [view for view in (memoryview(buffer).cast("B") for buffer in buffers) if view.nbytes]
        self.size = sum(view.nbytes for view in self.views)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for view in self.views:
            for start in range(0, view.nbytes, PIECE):
                yield view[start : start + PIECE]  # type: ignore[misc] # a view is what h11 takes without a copy
