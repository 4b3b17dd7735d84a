"""An upload in parts: one fills while some are on their way, and these are all the memory it takes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import NamedTuple

from packhouse.objects.bucket.together import together
from packhouse.objects.contract import Body, Bytes, ObjectInfo, Stream, check_size

__all__ = ["Part", "Session", "Upload"]


class Part(NamedTuple):
    """Some of a body."""

    number: int
    """From 0."""
    start: int
    """Bytes before it."""
    size: int
    pieces: list[Bytes]
    last: bool


class Session(ABC):
    """One object on its way by a service's own protocol.

    Attributes:
        grain: every part but the last is a multiple of so many bytes.
        most: parts of an object.
        at_once: parts on their way.
    """

    grain: int = 1
    most: int = 10_000
    at_once: int = 1

    @abstractmethod
    async def small(self, pieces: list[Bytes]) -> ObjectInfo:
        """Send an object that fits into one part, by one request."""

    @abstractmethod
    async def begin(self) -> None:
        """Announce that parts are coming."""

    @abstractmethod
    async def send(self, part: Part) -> None:
        """Send a part; where `at_once` is 1, they come in order."""

    @abstractmethod
    async def complete(self, size: int) -> ObjectInfo:
        """Make it visible."""

    @abstractmethod
    async def abort(self) -> None:
        """Remove what was sent, as far as that is possible now."""


class Upload:
    """Cuts a body into parts and sends them; whatever goes wrong, they are removed.

    Args:
        session: sends them.
        name: the object.
        part_size: bytes of a part; more where there would be too many.
    """

    def __init__(self, session: Session, name: str, part_size: int) -> None:
        self._session = session
        self._name = name
        self._part_size = part_size
        self._size = 0

    async def run(self, body: Body) -> ObjectInfo:
        """Send it all: by one request if it fits into a part.

        Raises:
            InvalidInput: a stream had another size than it said.
        """
        async with aclosing(_pieces_of(body, self._size_for(body))) as cut, aclosing(self._parts(body, cut)) as parts:
            first = await anext(parts)
            if first.last:
                return await self._session.small(first.pieces)
            await self._session.begin()
            try:
                await together(_chain(first, parts), self._session.send, self._session.at_once)
                return await self._session.complete(self._size)
            except BaseException:
                await self._session.abort()
                raise

    def _size_for(self, body: Body) -> int:
        size = body.size if isinstance(body, Stream) else memoryview(body).nbytes
        least = -(-(size or 0) // (self._session.most - 1))
        grain = self._session.grain
        return -(-max(self._part_size, least) // grain) * grain

    async def _parts(self, body: Body, cut: AsyncGenerator[list[Bytes], None]) -> AsyncGenerator[Part, None]:
        """Number the parts; the last one is known as such, and the body's size was right, before it is told."""
        pieces: list[Bytes] = await anext(cut, [])
        number = 0
        while True:
            following = await anext(cut, None)
            size = sum(memoryview(piece).nbytes for piece in pieces)
            start, self._size = self._size, self._size + size
            last = following is None
            if isinstance(body, Stream) and (last or (body.size is not None and self._size > body.size)):
                check_size(body, self._size, self._name)
            yield Part(number, start, size, pieces, last)
            if following is None:
                return
            pieces = following
            number += 1


async def _chain(first: Part, others: AsyncIterator[Part]) -> AsyncIterator[Part]:
    yield first
    async for part in others:
        yield part


async def _pieces_of(body: Body, size: int) -> AsyncGenerator[list[Bytes], None]:
    """Cut a body into parts, each a list of its pieces; the pieces of a stream are the caller's no longer."""
    if not isinstance(body, Stream):
        view = memoryview(body).cast("B")
        for start in range(0, view.nbytes, size):
            yield [view[start : start + size]]
        return
    part: list[Bytes] = []
    held = 0
    async with body.reading() as pieces:
        async for piece in pieces:
            view = memoryview(piece).cast("B")
            while view.nbytes:
                taken = view[: size - held]
                part.append(taken)
                held += taken.nbytes
                view = view[taken.nbytes :]
                if held == size:
                    yield part
                    part, held = [], 0
    if part:
        yield part
