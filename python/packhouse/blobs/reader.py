"""A blob as an async file: seek, read, iterate; memory is two pieces, however large the blob."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Self

from packhouse._engine import Cancel, Located
from packhouse.blobs.jobs import finish_all
from packhouse.errors import InvalidInput, StoreClosed

if TYPE_CHECKING:
    from types import TracebackType

    from packhouse.blobs.core import Core
    from packhouse.blobs.jobs import Job

__all__ = ["BlobReader"]

_PIECE = 4 << 20


class BlobReader(AsyncIterator[bytes]):
    """A verified, seekable, read-only view of one blob.

    Reads fetch 4 MiB at a time and, once reading goes straight ahead, the next 4 MiB beside it. Iterating gives pieces
    of at most that size. One task at a time may use it.

    Attributes:
        size: bytes of the whole blob.
    """

    def __init__(self, core: Core, located: Located, size: int) -> None:
        self._core = core
        self._located = located
        self.size = size
        self._position = 0
        self._piece = b""
        self._piece_start = 0
        self._ahead: tuple[int, Job[bytes]] | None = None
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        piece = await self.read(_PIECE)
        if not piece:
            raise StopAsyncIteration
        return piece

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def writable(self) -> bool:
        """Return False: what is stored does not change."""
        return False

    @property
    def closed(self) -> bool:
        """Whether `aclose` was called."""
        return self._closed

    async def aclose(self) -> None:
        """Let go of the blob, and wait until nothing is fetched for it any more."""
        self._closed = True
        self._piece = b""
        ahead, self._ahead = self._ahead, None
        if ahead is not None:
            await finish_all([ahead[1]])

    async def tell(self) -> int:
        """Return the position, in bytes from the beginning."""
        return self._position

    async def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move; nothing is fetched before the next read.

        Args:
            offset: bytes, counted from `whence`.
            whence: `io.SEEK_SET`, `io.SEEK_CUR` or `io.SEEK_END`.

        Returns:
            The new position; past the end is allowed, reads there give nothing.

        Raises:
            InvalidInput: the position would be negative, or `whence` is unknown.
        """
        self._check_open()
        origins = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self.size}
        if whence not in origins or origins[whence] + offset < 0:
            raise InvalidInput(f"cannot seek to {offset} from {whence}", kind="range")
        self._position = origins[whence] + offset
        return self._position

    async def read(self, size: int = -1) -> bytes:
        """Read from the position on.

        Args:
            size: bytes at most; negative for all that is left, in memory at once.

        Returns:
            Exactly as many bytes as asked for, fewer at the end only. A read that fails or is cancelled leaves the
            position where it was.

        Raises:
            CorruptBlob: what is stored there does not verify, and no other copy does.
        """
        self._check_open()
        left = max(0, self.size - self._position)
        wanted = left if size < 0 else min(size, left)
        if wanted > _PIECE:
            data = await self._fetch(self._position, self._position + wanted).result()
            self._position += wanted
            return data
        position = self._position
        parts: list[bytes] = []
        while wanted:
            at = position - self._piece_start
            if not 0 <= at < len(self._piece):
                await self._turn_to(position)
                continue
            part = self._piece[at : at + wanted]
            parts.append(part)
            wanted -= len(part)
            position += len(part)
        self._position = position
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _turn_to(self, start: int) -> None:
        straight = bool(self._piece) and start == self._piece_start + len(self._piece)
        ahead, self._ahead = self._ahead, None
        if ahead is not None and ahead[0] != start:
            await finish_all([ahead[1]])
            ahead = None
        self._piece = b""
        job = ahead[1] if ahead is not None else self._fetch(start, min(start + _PIECE, self.size))
        self._piece = await job.result()
        self._piece_start = start
        following = start + len(self._piece)
        if straight and following < self.size:
            self._ahead = following, self._fetch(following, min(following + _PIECE, self.size))

    def _fetch(self, start: int, stop: int) -> Job[bytes]:
        engine, located, cancel = self._core.engine, self._located, Cancel()
        return self._core.jobs.start(lambda: engine.fetch_range(located, 0, start, stop, cancel), cancel)

    def _check_open(self) -> None:
        if self._closed:
            raise StoreClosed("the reader is closed")
