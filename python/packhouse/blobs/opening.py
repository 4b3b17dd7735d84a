"""`packhouse.open`, and the inside of what it opened."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packhouse.blobs.caching import CACHE_AUTO, CACHE_BYTES, CacheDir
from packhouse.blobs.store import BlobStore

if TYPE_CHECKING:
    import os

    from packhouse.blobs.core import Core
    from packhouse.blobs.options import Mode, StoreOptions
    from packhouse.objects.bucket import BucketOptions

__all__ = ["core_of", "open_store", "reader_of"]


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
    """Open a store: `async with packhouse.open(url) as store`.

    Opening writes nothing into a store that exists. One handle serves many tasks at once; several processes may open
    the same folder. What is still being saved when the block ends is withdrawn unless its commit was already issued.

    Args:
        url: a path (missing parents are created), `file:///path`, `s3://bucket/prefix`, `gs://bucket/prefix`,
            `az://account/container/prefix`, or `memory://` for a store that lives as long as its handle.
        mode: `"a"` to read and write, `"r"` to read and never write anything.
        create: make a store where there is none.
        options: budget, threads, the bucket, and the settings of a new store; `S3Options`, `GCSOptions` or
            `AzureOptions` by themselves stand for `StoreOptions(bucket=…)`.
        client: an `httpx.AsyncClient` or `httpx2.AsyncClient` through which to reach the bucket instead of our own
            transport, with its proxies, certificates and transport; its owner closes it, on this event loop.
        cache_dir: for a bucket: a folder of this machine in which what was read of the index is kept, verified whenever
            it is used; processes and stores may share it, and it may be deleted at any time. None for no cache,
            `"auto"` for what `PACKHOUSE_CACHE_DIR` says, or `packhouse` in the user's folder for caches.
        cache_bytes: about how many bytes it takes; what was not used for longest goes first.

    Raises:
        InvalidInput: an argument that cannot be used.
        StoreNotFound: on entering: no store is there, or other things are.
        UnsupportedStore: on entering: the store needs a newer version.
        StorageError: on entering: the operating system refused.
    """
    return BlobStore(
        url, mode=mode, create=create, options=options, client=client, cache_dir=cache_dir, cache_bytes=cache_bytes
    )


def core_of(store: BlobStore, writing: str | None = None) -> Core:
    """Return the inside of an open store, for the sync facade.

    Args:
        store: open.
        writing: the name of an operation that writes.

    Raises:
        StoreClosed: it is not open.
        ReadOnlyStore: it is to be written and was opened for reading.
    """
    return store._opened() if writing is None else store._writable(writing)  # noqa: SLF001 - one door to it


def reader_of(store: BlobStore) -> BlobStore:
    """Return another handle of an open store, for reading and for any event loop; it is not open.

    Raises:
        StoreClosed: the store is not open.
        InvalidInput: it has a client of its user's, which belongs to one event loop.
    """
    store._opened()  # noqa: SLF001 - one door to it
    return store._reader()  # noqa: SLF001 - as above
