"""One blob: found, loaded whole, in part, or into the caller's memory."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, TypeVar

from packhouse._engine import Cancel, Located
from packhouse.blobs.records import KeyLike, key_and_locator
from packhouse.errors import BlobNotFound, CorruptBlob, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from packhouse.blobs.core import Core

__all__ = ["Lookup"]

T = TypeVar("T")


class Lookup:
    """One thread hop for one key.

    Args:
        core: the open store.
        key: alone or with its locator.

    Raises:
        InvalidInput: it is no key.
    """

    def __init__(self, core: Core, key: KeyLike) -> None:
        self._core = core
        self._key, self._locator = key_and_locator(key)
        self._cancel = Cancel()

    async def load(self) -> bytes:
        """Load it whole."""
        return await self._call(self._load)

    async def load_range(self, start: int, stop: int) -> bytes:
        """Load a part of it."""
        start, stop = _offset(start), _offset(stop)
        return await self._call(lambda: self._load_range(start, stop))

    async def load_into(self, buffer: Buffer) -> int:
        """Load it into the caller's memory."""
        try:
            view = memoryview(buffer)
        except (TypeError, ValueError, BufferError) as error:
            message = f"load_into: {type(buffer).__qualname__} is no writable buffer"
            raise InvalidInput(message, kind="buffer") from error
        with view:
            if view.readonly or not view.c_contiguous:
                raise InvalidInput("load_into: the buffer must be writable and contiguous", kind="buffer")
            return await self._call(lambda: self._load_into(view))

    async def find(self) -> tuple[Located, int]:
        """Find it, and its size in bytes."""
        return await self._call(self._find)

    async def size(self) -> int | None:
        """Tell its size in bytes; None where there is none."""
        return await self._call(lambda: self._locate()[1])

    async def _call(self, call: Callable[[], T]) -> T:
        return await self._core.jobs.call(call, self._cancel)

    def _locate(self, locator: str | None = None) -> tuple[Located, int | None]:
        """Only a load of all of it believes a locator: its bytes are held against the key."""
        located = self._core.engine.locate([(self._key, locator)], self._cancel)
        return located, located.sizes()[0]

    def _find(self, locator: str | None = None) -> tuple[Located, int]:
        located, size = self._locate(locator)
        if size is None:
            raise self._not_found()
        return located, size

    def _not_found(self) -> BlobNotFound:
        error = BlobNotFound(f"no blob has the key {self._key}")
        error.keys = (self._key,)
        return error

    def _load(self) -> bytes:
        located, _ = self._find(self._locator)
        (data,) = self._core.engine.fetch(located.room(0, 1), self._cancel)
        if isinstance(data, bytes):
            return data
        # A locator is believed until its bytes are read: only then it comes out that there is no such blob.
        raise self._not_found() if data is None or isinstance(data, BlobNotFound) else data

    def _load_range(self, start: int, stop: int) -> bytes:
        located, size = self._find()
        if not 0 <= start <= stop <= size:
            message = f"load_range: {start} to {stop} is not within the {size} bytes of {self._key}"
            raise InvalidInput(message, kind="range")
        return self._core.engine.fetch_range(located, 0, start, stop, self._cancel)

    def _load_into(self, view: memoryview) -> int:
        if self._locator is not None:
            located, size = self._find(self._locator)
            if size <= view.nbytes:
                try:
                    self._core.engine.fetch_into(located, 0, view, self._cancel)
                except (BlobNotFound, CorruptBlob) as error:  # the index tells better
                    if isinstance(error, CorruptBlob) and error.kind != "locator":
                        raise
                else:
                    return size
        located, size = self._find()
        if size > view.nbytes:
            message = f"load_into: {self._key} has {size} bytes, the buffer {view.nbytes}"
            raise InvalidInput(message, kind="buffer")
        self._core.engine.fetch_into(located, 0, view, self._cancel)
        return size


def _offset(value: int) -> int:
    try:
        return operator.index(value)
    except TypeError as error:
        raise InvalidInput(f"an offset is a number of bytes, not {value!r}", kind="range") from error
