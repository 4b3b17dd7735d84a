"""Takes items as a caller's iterable gives them, and makes groups of them, one thread hop each.

Nothing is awaited for an item that is bytes: 10,000 small blobs cost a handful of hops. `take` says when there is
something to await, and `act` does it; so the same code serves an async iterable, a sync one, and the sync facade,
which iterates in its caller's own thread.
"""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from packhouse.blobs.sources import AsyncSource, BlobSource, BufferSource, classify
from packhouse.errors import InvalidInput
from packhouse.turns import Turns

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from packhouse._engine import Saved
    from packhouse.blobs.session import Session, Source

__all__ = ["Intake", "iterate", "owner_waits"]

_GROUP_BYTES = 16 << 20
_GROUP_ITEMS = 2_000
_OWNED = 4
"""So much larger is a group of `bytes` whose owner holds them all anyway, if nobody watches: fewer waits."""
_SLICE_ITEMS = 256
_COPIED_ON_LOOP = 256 << 10


def iterate(blobs: object) -> Iterator[Any] | AsyncIterator[Any]:
    """Return the iterator of an argument that must be an iterable of blobs, not one blob.

    Raises:
        InvalidInput: it is none.
    """
    if isinstance(blobs, AsyncIterable):
        return aiter(blobs)
    if isinstance(blobs, (str, bytes, bytearray, memoryview)) or not isinstance(blobs, Iterable):
        message = f"blobs must be an iterable of blobs, not {type(blobs).__qualname__} (to save one blob: [blob])"
        raise InvalidInput(message, kind="item-type")
    return iter(blobs)


def owner_waits(blobs: object) -> bool:
    """Tell whether taking the items runs none of their owner's code, which could change a buffer taken before."""
    return type(blobs) in (list, tuple)


class Intake:
    """Groups the items of one call.

    Args:
        session: where the groups go.
        budget: bytes that may be held at once.
        first_index: the number of the first item, for messages.
        allow_async: whether an item may be read by the event loop.
        owner_waits: whether a buffer need not be read before the next item is taken, but only before the call ends.
        limit: bytes after which no more items are taken. Of a file whose size is not known it is not known either
            before it is read: the next item waits for that.
    """

    def __init__(
        self,
        session: Session,
        *,
        budget: int,
        first_index: int = 0,
        allow_async: bool = True,
        owner_waits: bool = False,
        limit: int | None = None,
    ) -> None:
        self._session = session
        self._group_bytes = max(1, min(_GROUP_BYTES, budget // 4))
        self._budget = budget
        self._items: list[Buffer | Source] = []
        self._held = 0
        self._odd: memoryview | Source | AsyncSource | None = None
        self._allow_async = allow_async
        self._owner_waits = owner_waits
        self._limit = limit
        self._expected = 0
        larger = _OWNED if owner_waits and not session.watched else 1
        self._most_bytes = self._group_bytes * larger
        self._most_items = _GROUP_ITEMS * larger
        self.index = first_index
        self.size = 0
        self.ended = False
        """Whether all was taken that `taking` was given."""

    def taking(self, source: Iterator[Any]) -> Iterator[bool]:
        """Take items until the source ends or, unless its owner waits, so much is taken as the limit says.

        Yields often, and tells whether `act` must be awaited before it goes on.

        Raises:
            InvalidInput: an item is nothing that can be saved.
        """
        if self._owner_waits:
            while some := list(islice(source, _SLICE_ITEMS)):
                if not self._take_plain(some):
                    for item in some:
                        if self.take(item):
                            yield True
                yield False
        else:
            for item in source:
                yield self.take(item)
                if self._full():
                    return
        self.ended = True

    def take(self, item: BlobSource) -> bool:
        """Accept the next item; returns whether `act` must be awaited before the next.

        Raises:
            InvalidInput: it is nothing that can be saved.
        """
        index = self.index
        self.index = index + 1
        if type(item) is bytes:
            size = len(item)
            self._items.append(item)
            self._held += size
            self.size += size
            return self._held >= self._most_bytes or len(self._items) >= self._most_items
        kind = classify(item, f"item {index}")
        if isinstance(kind, memoryview):
            return self._take_buffer(kind)
        if isinstance(kind, AsyncSource):
            if not self._allow_async:
                message = f"item {index} is of type {type(item).__qualname__}, which only the async API can read"
                raise InvalidInput(message, kind="item-type")
            self._odd = kind
            return True
        self._items.append(kind)
        if self._limit is not None:
            if kind.size is None:
                self._odd = kind
                return True
            self._expected += kind.size
        if isinstance(kind, BufferSource):
            self._odd = kind
        return self._odd is not None or len(self._items) >= _GROUP_ITEMS

    async def act(self) -> None:
        """Send what `take` has gathered on its way."""
        odd, self._odd = self._odd, None
        if isinstance(odd, AsyncSource):
            await self._send()
            await self._session.put_stream(odd)
        else:
            held = self._held
            await self._send()
            # A buffer that its owner may change has to be read before the owner goes on, and what is of unknown size
            # before it is decided whether to go on; and what is large is not held beside more of its kind.
            if odd is not None or (held > self._budget // 4 and not self._owner_waits):
                await self._session.settle()

    async def finish(self) -> Saved:
        """Commit everything that was taken."""
        held = self._held
        return await self._session.commit(self._rest(), held)

    async def pull(self, source: Iterator[Any] | AsyncIterator[Any]) -> bool:
        """Take items until the source ends (returns True) or so much is taken as the limit says (returns False).

        The loop is given its turn every 2 ms, however fast the source is.
        """
        turns = Turns()
        if isinstance(source, AsyncIterator):
            async for item in source:
                if self.take(item):
                    await self.act()
                if self._full():
                    return False
                if turns.due():
                    await turns.give()
            return True
        for wanted in self.taking(source):
            if wanted:
                await self.act()
            if turns.due():
                await turns.give()
        return self.ended

    def _full(self) -> bool:
        return self._limit is not None and self.size + max(self._expected, self._session.streamed) >= self._limit

    def _take_plain(self, items: list[Any]) -> bool:
        """Take a few items at once if all are bytes and fit into the group."""
        if set(map(type, items)) != {bytes}:
            return False
        size = sum(map(len, items))
        if self._held + size >= self._most_bytes or len(self._items) + len(items) >= self._most_items:
            return False
        self._items += items
        self._held += size
        self.size += size
        self.index += len(items)
        return True

    def _take_buffer(self, view: memoryview) -> bool:
        size = view.nbytes
        self.size += size
        self._held += size
        if self._owner_waits or size <= _COPIED_ON_LOOP:
            self._items.append(view if self._owner_waits else view.tobytes())
            return self._held >= self._group_bytes or len(self._items) >= _GROUP_ITEMS
        self._items.append(view)
        self._odd = view
        return True

    async def _send(self) -> None:
        held = self._held
        if self._items:
            await self._session.put(self._rest(), held)

    def _rest(self) -> list[Buffer | Source]:
        items, self._items = self._items, []
        self._held = 0
        return items
