"""`packhouse.sync.open`, and the store it opens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from packhouse.blobs import survey
from packhouse.blobs.caching import CACHE_AUTO, CACHE_BYTES, CacheDir
from packhouse.blobs.loading import LoadedBlobs as AsyncLoadedBlobs
from packhouse.blobs.opening import core_of
from packhouse.blobs.progress import ProgressCallback, Tally
from packhouse.blobs.store import BlobStore as AsyncBlobStore
from packhouse.sync.loading import BlobReader, LoadedBlobs, SyncKeys
from packhouse.sync.names import Names
from packhouse.sync.portal import Portal
from packhouse.sync.saving import Saving, SyncBlobs, save_all
from packhouse.trees import COMMIT_EVERY

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator
    from types import TracebackType

    from typing_extensions import Buffer

    from packhouse.blobs.keys import FedKeys
    from packhouse.blobs.loading import Missing
    from packhouse.blobs.options import Mode, StoreOptions
    from packhouse.blobs.records import KeyLike, SavedBlob
    from packhouse.blobs.sources import SyncBlobSource
    from packhouse.blobs.stats import StoreStats
    from packhouse.blobs.survey import BlobAnatomy, StoredBlob, StoreSurvey
    from packhouse.blobs.verifying import VerifyReport
    from packhouse.objects.bucket import BucketOptions

__all__ = ["BlobStore", "open_store"]


def open_store(
    url: str | os.PathLike[str],
    *,
    mode: Mode = "a",
    create: bool = True,
    options: StoreOptions | BucketOptions | None = None,
    client: Any = None,
    cache_dir: CacheDir = CACHE_AUTO,
    cache_bytes: int = CACHE_BYTES,
) -> BlobStore:
    """Open a store; use it with `with`, or close it with `close`. As `packhouse.open`, and open at once.

    A `client` is used on the store's own event loop alone: hand in one that has sent nothing yet.

    Raises:
        InvalidInput: an argument that cannot be used.
        StoreNotFound: no store is there, or other things are.
        UnsupportedStore: the store needs a newer version.
        StorageError: the operating system refused.
    """
    return BlobStore(
        url, mode=mode, create=create, options=options, client=client, cache_dir=cache_dir, cache_bytes=cache_bytes
    )


class BlobStore:
    """Blobs by their keys, and small documents by their names, as `packhouse.BlobStore`. Made by `packhouse.sync.open`.

    Pickles as its URL and options: the copy is opened when it is unpickled.
    """

    def __init__(
        self,
        url: str | os.PathLike[str],
        *,
        mode: Mode = "a",
        create: bool = True,
        options: StoreOptions | BucketOptions | None = None,
        client: Any = None,
        cache_dir: CacheDir = CACHE_AUTO,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._store = AsyncBlobStore(
            url, mode=mode, create=create, options=options, client=client, cache_dir=cache_dir, cache_bytes=cache_bytes
        )
        self._portal = Portal(self._store)

    @classmethod
    def _over(cls, store: AsyncBlobStore, portal: Portal) -> BlobStore:
        """Make the facade of a store that is open on this portal's loop; closing it ends the portal."""
        facade = cls.__new__(cls)
        facade._store, facade._portal = store, portal  # noqa: SLF001 - its own
        return facade

    @property
    def url(self) -> str:
        """The URL it was opened with."""
        return self._store.url

    @property
    def mode(self) -> Mode:
        """`"a"` or `"r"`."""
        return self._store.mode

    @property
    def options(self) -> StoreOptions:
        """The options it was opened with; a bucket's that were given for them are its `bucket`."""
        return self._store.options

    def __repr__(self) -> str:
        return repr(self._store).replace("packhouse.BlobStore", "packhouse.sync.BlobStore")

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type, str, dict[str, Any]]]:
        reopen, (_, url, given) = self._store.__reduce__()
        return reopen, (type(self), url, given)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store, once; what other threads are saving is finished or withdrawn."""
        self._portal.close()

    def save_blobs(
        self,
        blobs: SyncBlobs,
        *,
        len_hint: int = 0,
        pin: bool = True,
        check: bool = False,
        progress: ProgressCallback | None = None,
    ) -> list[SavedBlob]:
        """Save many blobs in one atomic, durable commit. As `packhouse.BlobStore.save_blobs`, for sync sources."""
        core = core_of(self._store, "save_blobs")
        return save_all(self._portal, core, blobs, pin=pin, check=check, tally=Tally(progress, len_hint))

    def save_stream(self, source: SyncBlobSource, *, pin: bool = True, check: bool = False) -> SavedBlob:
        """Save one blob of any size, in bounded memory. As `packhouse.BlobStore.save_stream`, for sync sources."""
        (saved,) = self.save_blobs([source], len_hint=1, pin=pin, check=check)
        return saved

    def saving(
        self,
        blobs: SyncBlobs,
        *,
        commit_every: int | None = None,
        len_hint: int = 0,
        pin: bool = True,
        check: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Saving:
        """Save a batch that is too large to hold its results. As `packhouse.BlobStore.saving`, for sync sources."""
        core = core_of(self._store, "saving")
        tally = Tally(progress, len_hint)
        return Saving(self._portal, core, blobs, commit_every=commit_every, pin=pin, check=check, tally=tally)

    def load_blobs(
        self,
        keys: SyncKeys,
        *,
        ordered: bool = True,
        missing: Missing = "raise",
        progress: ProgressCallback | None = None,
    ) -> LoadedBlobs:
        """Load many blobs, verified, ahead of the consumer. As `packhouse.BlobStore.load_blobs`, for sync iterables."""
        core = core_of(self._store)

        def make(fed: FedKeys) -> AsyncLoadedBlobs:
            return AsyncLoadedBlobs(core, fed, ordered=ordered, missing=missing, tally=Tally(progress))

        return LoadedBlobs(self._portal, keys, make)

    def load(self, key: KeyLike) -> bytes:
        """Load one blob, verified. As `packhouse.BlobStore.load`."""
        return self._portal.call(self._store.load, key)

    def load_range(self, key: KeyLike, start: int, stop: int) -> bytes:
        """Load the bytes from `start` up to, not including, `stop`. As `packhouse.BlobStore.load_range`."""
        return self._portal.call(self._store.load_range, key, start, stop)

    def load_into(self, key: KeyLike, buffer: Buffer) -> int:
        """Load a blob into a writable buffer; returns its size in bytes. As `packhouse.BlobStore.load_into`."""
        return self._portal.call(self._store.load_into, key, buffer)

    def open_read(self, key: KeyLike) -> BlobReader:
        """Open a blob as a binary file. As `packhouse.BlobStore.open_read`."""
        return BlobReader(self._portal, self._portal.call(self._store.open_read, key))

    def contains(self, key: KeyLike) -> bool:
        """Tell whether a committed blob has this key. As `packhouse.BlobStore.contains`."""
        return self._portal.call(self._store.contains, key)

    def size(self, key: KeyLike) -> int:
        """Tell a blob's size in bytes. As `packhouse.BlobStore.size`."""
        return self._portal.call(self._store.size, key)

    def committed(self, batch_id: str) -> bool | None:
        """Tell whether a batch is committed and durable. As `packhouse.BlobStore.committed`."""
        return self._portal.call(self._store.committed, batch_id)

    def verify(self, *, progress: ProgressCallback | None = None) -> VerifyReport:
        """Read and check everything. As `packhouse.BlobStore.verify`."""

        async def verify() -> VerifyReport:
            return await self._store.verify(progress=progress)

        return self._portal.call(verify)

    def survey(self) -> StoreSurvey:
        """Sum up what the store holds. As `packhouse.BlobStore.survey`."""
        return self._portal.call(self._store.survey)

    def anatomy(self, key: KeyLike) -> BlobAnatomy:
        """Tell how a blob is stored. As `packhouse.BlobStore.anatomy`."""
        return self._portal.call(self._store.anatomy, key)

    def keys(self) -> Iterator[StoredBlob]:
        """List all blobs in the order of their keys. As `packhouse.BlobStore.keys`."""
        core = core_of(self._store)
        after: str | None = None
        while found := self._portal.call(survey.page, core, after):
            yield from found
            after = found[-1].key

    @property
    def names(self) -> Names:
        """Small JSON documents under names, with compare-and-swap."""
        return Names(self._portal, self._store.names)

    def save_tree(
        self,
        path: str | os.PathLike[str],
        *,
        commit_every: int = COMMIT_EVERY,
        progress: ProgressCallback | None = None,
    ) -> SavedBlob:
        """Save a folder with all that is in it. As `packhouse.BlobStore.save_tree`."""

        async def save() -> SavedBlob:
            return await self._store.save_tree(path, commit_every=commit_every, progress=progress)

        return self._portal.call(save)

    def restore_tree(
        self, key: KeyLike, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None
    ) -> None:
        """Write a saved tree into a folder. As `packhouse.BlobStore.restore_tree`."""

        async def restore() -> None:
            await self._store.restore_tree(key, path, progress=progress)

        self._portal.call(restore)

    def stats(self) -> StoreStats:
        """Tell what this handle has done since it was opened."""
        return self._store.stats()
