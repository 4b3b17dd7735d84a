"""diskcache: small values in SQLite, large ones in files, one transaction a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blake3 import blake3
from diskcache import Cache

from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


class DiskCache(Peer):
    """`Cache.set` under the BLAKE3 and `Cache.get`, nothing ever evicted."""

    label = "diskcache"
    distributions = ("diskcache", "blake3")
    syncs = False
    verifies = "nothing"

    async def open(self) -> None:
        self._cache: Any = Cache(str(self.folder), eviction_policy="none", size_limit=1 << 50)

    async def close(self) -> None:
        self._cache.close()

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        keys = []
        with self._cache.transact():
            for blob in blobs:
                key = blake3(blob, max_threads=blake3.AUTO).hexdigest()
                self._cache.set(key, blob)
                keys.append(key)
        return keys

    async def load(self, keys: Sequence[str], take: Take) -> None:
        for key in keys:
            take(self._cache[key])

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        with self._cache.read(key) as file:
            file.seek(start)
            data: bytes = file.read(stop - start)
        return data
