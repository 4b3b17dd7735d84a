"""The content-addressed store over `--datastore packhouse`: blobs go into packs, as they are, under their BLAKE3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from packhouse.compat.metaflow.handing import Handing
from packhouse.compat.metaflow.telling import telling
from packhouse.errors import BlobNotFound, CorruptBlob, InvalidInput, StoreNotFound

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from packhouse.compat.metaflow.packed.store import PackedStore

__all__ = ["PackedBlobs"]

_META = {"cas_raw": True, "cas_version": 1}


class PackedBlobs:
    """Metaflow's content-addressed store in packs, for a storage that has a packed store (its attribute `packed`).

    To be mixed in before the class that serves every other storage.
    """

    keeps_packs = True
    _prefix: str
    _storage_impl: Any
    _blob_cache: Any
    save_blobs_result: Any

    @telling()
    def save_blobs(
        self, blob_iter: Iterable[Any], raw: bool = False, len_hint: int = 0, is_transfer: bool = False
    ) -> list[Any]:
        """Save blobs in one durable commit; keys are BLAKE3. What is saved as `raw` is pinned: no record names it.

        Raises:
            InvalidInput: a blob is transferred under a key that is not its BLAKE3.
        """
        packed: PackedStore | None = getattr(self._storage_impl, "packed", None)
        if packed is None:
            stock: Any = super()
            saved: list[Any] = stock.save_blobs(blob_iter, raw=raw, len_hint=len_hint, is_transfer=is_transfer)
            return saved
        wanted: list[str] = []
        blobs = _contents(blob_iter, wanted) if is_transfer else blob_iter
        keys = packed.save_blobs(blobs, pin=raw, len_hint=len_hint)
        for key, told in zip(keys, wanted, strict=False):
            if key != told:
                message = f"the artifact {told} of another datastore would get another key here: copy its value"
                raise InvalidInput(message, kind="not-a-key")
        return [self.save_blobs_result(uri=f"{packed.root}#{key}" if raw else None, key=key) for key in keys]

    def load_blobs(
        self, keys: Iterable[str], force_raw: bool = False, is_transfer: bool = False
    ) -> Generator[tuple[Any, ...]]:
        """Load blobs, verified: those in the cache first, then the others in order.

        Raises:
            UnreadableArtifact: a blob is missing or damaged.
        """
        packed: PackedStore | None = getattr(self._storage_impl, "packed", None)
        if packed is None:
            stock: Any = super()
            yield from stock.load_blobs(keys, force_raw=force_raw, is_transfer=is_transfer)
            return
        handing = Handing(self._blob_cache, _META if is_transfer else None)
        yield from handing.cached(keys)
        loaded = packed.load_blobs(handing.missing)
        try:
            for key in handing.missing:
                try:
                    read = [next(loaded)[1]]
                except (BlobNotFound, CorruptBlob, StoreNotFound, InvalidInput) as error:
                    raise self._unreadable_in(packed, key, error) from error
                yield handing.loaded(key, read.pop())  # and hold nothing of it while the next is read
        finally:
            loaded.close()

    def _unreadable_in(self, packed: PackedStore, key: str, cause: Exception) -> Exception:
        from packhouse.compat.metaflow.unreadable import UnreadableArtifact  # noqa: PLC0415 - only where Metaflow is

        flow = self._storage_impl.dirname(self._prefix)
        place = f"{packed.root}#{key}"
        return UnreadableArtifact(key, place, packed.artifact_of(key, flow) or f"an artifact of {flow}", f"({cause})")


def _contents(items: Iterable[Any], keys: list[str]) -> Iterator[Any]:
    for key, blob, _ in items:
        keys.append(key)
        yield blob
