"""`ContentAddressedStore`: Metaflow's signatures over a packhouse store."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, TypeAlias, cast

from blake3 import blake3

from packhouse.blobs.sources import end_generator
from packhouse.errors import InvalidInput

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from packhouse.blobs.loading import KeysToLoad
    from packhouse.blobs.records import SavedBlob
    from packhouse.blobs.saving import Blobs
    from packhouse.blobs.store import BlobStore
    from packhouse.tasks.storage import PackhouseStorage

__all__ = ["BlobCache", "ContentAddressedStore", "Result", "save_blobs_result", "transferred"]

_META = {"cas_raw": True, "cas_version": 1}


class save_blobs_result(NamedTuple):  # noqa: N801 - Metaflow's name
    """One saved blob."""

    uri: str | None
    """The store's URL and the key, `packhouse cat URI` reads it; None for blobs that were not saved as `raw`."""
    key: str


Result: TypeAlias = save_blobs_result
"""The same, where a class has an attribute of that name."""


class BlobCache(ABC):
    """Where loaded blobs are kept beside the store; either method may be a coroutine function."""

    @abstractmethod
    def load_key(self, key: str) -> Any:
        """Return the blob, or None."""

    @abstractmethod
    def store_key(self, key: str, blob: bytes) -> Any:
        """Keep a blob."""


class ContentAddressedStore:
    """The blobs of a datastore. Content is stored as it is and verified when it is read: keys are BLAKE3.

    Args:
        prefix: what upstream puts before its files; here only shown: a store deduplicates across flows.
        storage_impl: an open storage.
    """

    save_blobs_result: ClassVar[type[Result]] = Result

    def __init__(self, prefix: str, storage_impl: PackhouseStorage) -> None:
        self._storage = storage_impl
        self._cache: Any = None
        self.prefix = prefix
        self.TYPE = storage_impl.TYPE

    def __repr__(self) -> str:
        return f"<packhouse ContentAddressedStore {self.prefix!r} in {self._storage.datastore_root!r}>"

    @property
    def store(self) -> BlobStore:
        """The packhouse store."""
        return self._storage.store

    def set_blob_cache(self, blob_cache: BlobCache | None) -> None:
        """Ask this cache before the store, and let it keep what is loaded; None for no cache."""
        self._cache = blob_cache

    async def save_blobs(
        self, blob_iter: Blobs | Any, raw: bool = False, len_hint: int = 0, is_transfer: bool = False
    ) -> list[Result]:
        """Save blobs in one durable commit; results in input order.

        Args:
            blob_iter: an iterable, sync or async, of what `BlobStore.save_blobs` takes.
            raw: give each blob's URI. What is stored is the same.
            len_hint: how many there will be; unknown when 0.
            is_transfer: items are (key, blob, meta) as `load_blobs` gives them; each blob must be what its key says.

        Raises:
            InvalidInput: an item that cannot be saved, or one that is not what its key says; nothing is saved.
        """
        blobs: Blobs = blob_iter
        if is_transfer:
            blobs = transferred(blob_iter) if isinstance(blob_iter, Iterable) else _transferred_async(blob_iter)
        saved = await self.store.save_blobs(blobs, len_hint=len_hint)
        return self._results(saved, with_uri=raw or is_transfer)

    def _results(self, saved: Iterable[SavedBlob], *, with_uri: bool) -> list[Result]:
        return [Result(self.uri(blob.key) if with_uri else None, blob.key) for blob in saved]

    async def load_blobs(
        self, keys: KeysToLoad, force_raw: bool = False, is_transfer: bool = False
    ) -> AsyncIterator[tuple[Any, ...]]:
        """Load blobs, verified: those in the cache first, the others in the order of their keys.

        Args:
            keys: an iterable, sync or async; a key that repeats is given as often.
            force_raw: promise that the blobs were saved raw. Here all are: nothing else could be returned.
            is_transfer: yield (key, blob, meta) for another store's `save_blobs`.

        Yields:
            (key, blob).

        Raises:
            BlobNotFound: no blob has the key; raised after those that are there.
        """
        del force_raw  # both values ask for what is stored
        wanted = [key async for key in keys] if isinstance(keys, AsyncIterable) else list(keys)
        missing = []
        for key in wanted:
            blob = await self.cached(cast("str", key))
            if blob is None:
                missing.append(key)
            else:
                given = [(key, blob, dict(_META)) if is_transfer else (key, blob)]
                del blob  # so that the next is not read beside it
                yield given.pop()
        absent = []
        if missing:
            found = set()
            async for key, blob in self.store.load_blobs(missing, missing="skip"):
                found.add(key)
                await self.keep(key, blob)
                given = [(key, blob, dict(_META)) if is_transfer else (key, blob)]
                del blob
                yield given.pop()
            absent = [key for key in missing if (key if isinstance(key, str) else key.key) not in found]
        if absent:
            await self.store.load(absent[0])  # raises what a load of a missing key raises

    def uri(self, key: str) -> str:
        """Return the store's URL and the key: what `packhouse cat` reads."""
        return f"{self._storage.datastore_root}#{key}"

    async def cached(self, key: str) -> bytes | None:
        """Ask the cache."""
        if self._cache is None:
            return None
        found = self._cache.load_key(key)
        blob: bytes | None = await found if inspect.isawaitable(found) else found
        return blob

    async def keep(self, key: str, blob: Any) -> None:
        """Let the cache keep a blob."""
        if self._cache is not None:
            kept = self._cache.store_key(key, bytes(blob))
            if inspect.isawaitable(kept):
                await kept


def transferred(items: Iterable[Any]) -> Iterator[Any]:
    """Give out the blobs of a transfer, one after the other.

    Args:
        items: (key, blob, meta).

    Raises:
        InvalidInput: a blob is not what its key says.
    """
    for key, blob, _ in items:
        yield _checked(key, blob)


async def _transferred_async(items: AsyncIterable[Any]) -> AsyncIterator[Any]:
    pairs = aiter(items)
    try:
        async for key, blob, _ in pairs:
            yield _checked(key, blob)
    finally:
        await end_generator(pairs)


def _checked(key: str, blob: Buffer) -> Buffer:
    found = blake3(blob, max_threads=blake3.AUTO).hexdigest()
    if key != found:
        raise InvalidInput(f"the blob transferred as {key} is another one, {found}", kind="not-a-key")
    return blob
