"""An upload in parts: one fills while some are on their way, and these are all the memory it takes.

Nothing that waits for more holds on to what it has handed over: uploads wait for as long as their batch is open.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import NamedTuple

from packhouse.errors import InvalidInput
from packhouse.objects.contract import Body, Bytes, ObjectInfo, Stream, check_size
from packhouse.together import together

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
        tells_last: whether the service must be told which part is the last, be it an empty one.
    """

    grain: int = 1
    most: int = 10_000
    at_once: int = 1
    tells_last: bool = False

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
            InvalidInput: a stream had another size than it said (`object-size`), or said none and has more parts than
                the service takes (`too-large`).
        """
        async with aclosing(_pieces_of(body, self._size_for(body))) as cut, aclosing(self._parts(body, cut)) as parts:
            first = await anext(parts)
            if first.last:
                return await self._session.small(first.pieces)
            chained = _chain([first], parts)
            del first
            await self._session.begin()
            try:
                await together(chained, self._session.send, self._session.at_once)
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
        """Number the parts; the body's size was right before the last one is told.

        The first waits for what follows, for it may be all. No other does that is full, of a body whose size nobody
        knows: whoever writes it may write more much later.
        """
        full = self._size_for(body)
        known = not isinstance(body, Stream) or body.size is not None
        pieces: list[Bytes] | None = await anext(cut, [])
        number = 0
        while pieces is not None:
            size = sum(memoryview(piece).nbytes for piece in pieces)
            waits = known or number == 0 or size < full
            following = await anext(cut, None) if waits else None
            last = waits and following is None
            start, self._size = self._size, self._size + size
            self._check(body, ended=last)
            if number >= self._session.most:
                message = f"the stream for {self._name} has more than {number} parts of {full} bytes"
                raise InvalidInput(f"{message}; say its size, or choose a larger part_size", kind="too-large")
            yield Part(number, start, size, pieces, last)
            pieces = None
            number += 1
            if not waits:
                following = await anext(cut, None)
                if following is None:
                    self._check(body, ended=True)
                    if self._session.tells_last:
                        yield Part(number, self._size, 0, [], last=True)
            pieces = following

    def _check(self, body: Body, *, ended: bool) -> None:
        if isinstance(body, Stream) and (ended or (body.size is not None and self._size > body.size)):
            check_size(body, self._size, self._name)


async def _chain(first: list[Part], others: AsyncIterator[Part]) -> AsyncIterator[Part]:
    yield first.pop()
    async for part in others:
        yield part
        del part


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
                room = size - held
                part.append(view[:room])
                held += min(room, view.nbytes)
                view = view[room:]
                if held == size:
                    yield part
                    part, held = [], 0
            del piece, view
    if part:
        yield part
