"""Loading without await: iterators and files over their async twins."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from packhouse.blobs.keys import FedKeys
from packhouse.blobs.keys import SyncKeys as TakenKeys
from packhouse.blobs.records import KeyLike, LoadedBlob
from packhouse.errors import InvalidInput, StoreClosed

if TYPE_CHECKING:
    from collections.abc import Callable

    from packhouse.blobs.loading import LoadedBlobs as AsyncLoadedBlobs
    from packhouse.blobs.reader import BlobReader as AsyncBlobReader
    from packhouse.sync.portal import Portal

__all__ = ["BlobReader", "LoadedBlobs", "SyncKeys"]

SyncKeys: TypeAlias = Iterable[KeyLike]
"""What `load_blobs` takes: an iterable of keys, alone or with their locators."""

_FED_AT_ONCE = 2_000


class LoadedBlobs(Iterator[LoadedBlob]):
    """The blobs of an iterable of keys, as `packhouse.LoadedBlobs`.

    It ends with the iteration, `break`, `close` or the store. The iterable of keys runs in the thread that iterates.
    """

    def __init__(self, portal: Portal, keys: SyncKeys, make: Callable[[FedKeys], AsyncLoadedBlobs]) -> None:
        if isinstance(keys, str) or not isinstance(keys, Iterable):
            message = f"keys must be an iterable of keys, not {type(keys).__qualname__} (to load one blob: load)"
            raise InvalidInput(message, kind="item-type")
        self._portal = portal
        self._keys = TakenKeys(iter(keys))
        self._error: Exception | None = None
        self._fed = FedKeys()
        self._inner: AsyncLoadedBlobs = portal.call(_made, make, self._fed)
        self._ready: Iterator[LoadedBlob] = iter(())
        self._ended = False

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> LoadedBlob:
        while True:
            for blob in self._ready:
                return blob
            if self._ended:
                try:
                    raise self._error or StopIteration
                finally:
                    self._error = None
            self._feed()
            many = self._portal.call(self._inner.next_many)
            self._ended = not many and self._fed.ended
            self._ready = iter(many)

    def close(self) -> None:
        """Stop fetching, and wait until no thread works on it any more."""
        self._ended = True
        self._error = None
        self._ready = iter(())
        with suppress(StoreClosed):  # then nothing works on it any more
            self._portal.call(self._inner.aclose)

    def _feed(self) -> None:
        """Give more keys; an error of their iterable is kept until what came before is handed out."""
        room = _FED_AT_ONCE - len(self._fed)
        if room > 0 and not self._fed.ended and self._error is None:
            try:
                keys = self._keys.take(room)
            except Exception as error:  # noqa: BLE001 - raised behind the blobs of the keys before
                self._error, keys = error, []
            self._fed.feed(keys, last=self._keys.ended)


class BlobReader(io.RawIOBase):
    """A blob as a binary file that is read and sought in; verified, in bounded memory. As `packhouse.BlobReader`.

    Attributes:
        size: bytes of the whole blob.
    """

    def __init__(self, portal: Portal, inner: AsyncBlobReader) -> None:
        super().__init__()
        self._portal = portal
        self._inner = inner
        self.size = inner.size

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes from the beginning."""
        return self._portal.call(self._inner.tell)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move and return the new position; as `packhouse.BlobReader.seek`."""
        return self._portal.call(self._inner.seek, offset, whence)

    def read(self, size: int | None = -1) -> bytes:
        """Read at most so many bytes, fewer at the end only; negative or None for all that is left."""
        return self._portal.call(self._inner.read, -1 if size is None else size)

    def readall(self) -> bytes:
        """Read all that is left."""
        return self.read()

    def readinto(self, buffer: Any, /) -> int:
        """Read into a buffer; returns the number of bytes, 0 at the end."""
        with memoryview(buffer).cast("B") as view:
            data = self.read(len(view))
            view[: len(data)] = data
            return len(data)

    def close(self) -> None:
        """Let go of the blob."""
        if not self.closed:
            super().close()
            with suppress(StoreClosed):  # the store has let go of it
                self._portal.call(self._inner.aclose)


async def _made(make: Callable[[FedKeys], AsyncLoadedBlobs], fed: FedKeys) -> AsyncLoadedBlobs:
    return make(fed)
