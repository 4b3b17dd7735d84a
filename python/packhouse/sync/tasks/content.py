"""`ContentAddressedStore` without await: Metaflow's own signatures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, ClassVar

from packhouse.sync.portal import Portal
from packhouse.sync.store import BlobStore
from packhouse.sync.tasks.driving import drive
from packhouse.tasks.content import ContentAddressedStore as AsyncContent
from packhouse.tasks.content import Result, transferred
from packhouse.tasks.storage import make_storage

if TYPE_CHECKING:
    from packhouse.tasks.content import BlobCache

__all__ = ["ContentAddressedStore"]


class ContentAddressedStore:
    """The blobs of a datastore, as `packhouse.tasks.ContentAddressedStore`; open from its construction on.

    Args:
        prefix: what upstream puts before its files; here only shown: a store deduplicates across flows.
        storage_impl: a storage, which is opened; of Metaflow's classes the root is used.
    """

    save_blobs_result: ClassVar[type[Result]] = Result

    def __init__(self, prefix: str, storage_impl: Any) -> None:
        storage = make_storage(lambda _: storage_impl, None)
        portal = Portal(storage)
        self._bind(portal, BlobStore._over(storage.store, portal), AsyncContent(prefix, storage))

    @classmethod
    def _over(cls, portal: Portal, store: BlobStore, inner: AsyncContent) -> ContentAddressedStore:
        """Make the facade of what a flow's datastore opened."""
        facade = cls.__new__(cls)
        facade._bind(portal, store, inner)
        return facade

    def _bind(self, portal: Portal, store: BlobStore, inner: AsyncContent) -> None:
        self._portal = portal
        self._store = store
        self._inner = inner
        self.cache: Any = None
        self.prefix = inner.prefix
        self.TYPE = inner.TYPE

    def __repr__(self) -> str:
        return repr(self._inner)

    def close(self) -> None:
        """Close the store; one of a flow's datastore is closed with that."""
        self._portal.close()

    def set_blob_cache(self, blob_cache: BlobCache | None) -> None:
        """Ask this cache before the store, and let it keep what is loaded; None for no cache."""
        self.cache = blob_cache
        self._inner.set_blob_cache(blob_cache)

    def save_blobs(
        self, blob_iter: Iterable[Any], raw: bool = False, len_hint: int = 0, is_transfer: bool = False
    ) -> list[Result]:
        """Save blobs in one durable commit. As `packhouse.tasks.ContentAddressedStore.save_blobs`."""
        blobs = transferred(blob_iter) if is_transfer else blob_iter
        saved = self._store.save_blobs(blobs, len_hint=len_hint)
        return self._inner._results(saved, with_uri=raw or is_transfer)

    def load_blobs(
        self, keys: Iterable[Any], force_raw: bool = False, is_transfer: bool = False
    ) -> Iterator[tuple[Any, ...]]:
        """Load blobs, verified. As `packhouse.tasks.ContentAddressedStore.load_blobs`."""
        yield from drive(self._portal, self._inner.load_blobs(list(keys), force_raw, is_transfer))

    def uri(self, key: str) -> str:
        """Return the store's URL and the key: what `packhouse cat` reads."""
        return self._inner.uri(key)
