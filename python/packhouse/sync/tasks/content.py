"""`ContentAddressedStore` without await: Metaflow's own signatures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

from packhouse.errors import InvalidInput
from packhouse.sync.tasks.driving import drive
from packhouse.tasks.content import BlobCache, save_blobs_result

if TYPE_CHECKING:
    from packhouse.sync.portal import Portal
    from packhouse.sync.store import BlobStore
    from packhouse.tasks.content import ContentAddressedStore as AsyncContent

__all__ = ["ContentAddressedStore"]


class ContentAddressedStore:
    """The blobs of a datastore, as `packhouse.tasks.ContentAddressedStore`. Got from `FlowDataStore.ca_store`."""

    def __init__(self, portal: Portal, store: BlobStore, inner: AsyncContent) -> None:
        self._portal = portal
        self._store = store
        self._inner = inner
        self.cache: Any = None
        self.prefix = inner.prefix
        self.TYPE = inner.TYPE

    def set_blob_cache(self, blob_cache: BlobCache | None) -> None:
        """Ask this cache before the store, and let it keep what is loaded; None for no cache."""
        self.cache = blob_cache
        self._inner.set_blob_cache(blob_cache)

    def save_blobs(
        self, blob_iter: Iterable[Any], raw: bool = False, len_hint: int = 0, is_transfer: bool = False
    ) -> list[save_blobs_result]:
        """Save blobs in one durable commit. As `packhouse.tasks.ContentAddressedStore.save_blobs`."""
        keys: list[str] = []

        def contents() -> Iterator[Any]:
            for key, blob, _ in blob_iter:
                keys.append(key)
                yield blob

        saved = self._store.save_blobs(contents() if is_transfer else blob_iter, len_hint=len_hint)
        for key, blob in zip(keys, saved, strict=False):
            if key != blob.key:
                raise InvalidInput(f"the blob transferred as {key} is another one, {blob.key}", kind="not-a-key")
        return [
            save_blobs_result(self._inner.uri(blob.key) if raw or is_transfer else None, blob.key) for blob in saved
        ]

    def load_blobs(
        self, keys: Iterable[Any], force_raw: bool = False, is_transfer: bool = False
    ) -> Iterator[tuple[Any, ...]]:
        """Load blobs, verified. As `packhouse.tasks.ContentAddressedStore.load_blobs`."""
        yield from drive(self._portal, self._inner.load_blobs(list(keys), force_raw, is_transfer))

    def uri(self, key: str) -> str:
        """Return the store's URL and the key: what `packhouse cat` reads."""
        return self._inner.uri(key)
