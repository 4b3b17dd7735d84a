"""How blobs reach Metaflow: through its blob cache, as pairs or, for transfers, as triples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Handing"]


class Handing:
    """Hands out the blobs of one load.

    Args:
        cache: Metaflow's blob cache; None without one.
        meta: what a transfer hands out beside each blob; None for a load.

    Attributes:
        missing: the keys that the cache did not have, in order.
    """

    def __init__(self, cache: Any, meta: dict[str, Any] | None) -> None:
        self._cache = cache
        self._meta = meta
        self.missing: list[str] = []

    def cached(self, keys: Iterable[str]) -> Iterator[tuple[Any, ...]]:
        """Hand out what the cache has, and note the others as missing."""
        for key in keys:
            blob = self._cache.load_key(key) if self._cache else None
            if blob is None:
                self.missing.append(key)
            else:
                yield self._shaped(key, blob)

    def loaded(self, key: str, blob: bytes) -> tuple[Any, ...]:
        """Hand out what was loaded, and let the cache keep it."""
        if self._cache:
            self._cache.store_key(key, blob)
        return self._shaped(key, blob)

    def _shaped(self, key: str, blob: bytes) -> tuple[Any, ...]:
        return (key, blob) if self._meta is None else (key, blob, dict(self._meta))
