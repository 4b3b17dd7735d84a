"""obstore's local store, async calls: several objects in flight."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from blake3 import blake3
from obstore.store import LocalStore

from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

_IN_FLIGHT = 16
_HASH_IN_THREAD = 1 << 20


class ObstoreAsync(Peer):
    """`put_async` and `get_async`, sixteen at a time; large blobs are hashed in a thread."""

    label = "obstore (async)"
    distributions = ("obstore", "blake3")
    syncs = False
    verifies = "nothing"
    blocks = False

    async def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._store: Any = LocalStore(str(self.folder))

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        keys = [""] * len(blobs)

        async def work(jobs: Iterator[tuple[int, bytes]]) -> None:
            for at, blob in jobs:
                key = await asyncio.to_thread(_key, blob) if len(blob) >= _HASH_IN_THREAD else _key(blob)
                await self._store.put_async(f"{key[:2]}/{key}", blob)
                keys[at] = key

        jobs = iter(list(enumerate(blobs)))
        await asyncio.gather(*(work(jobs) for _ in range(_IN_FLIGHT)))
        return keys

    async def load(self, keys: Sequence[str], take: Take) -> None:
        async def work(jobs: Iterator[str]) -> None:
            for key in jobs:
                result = await self._store.get_async(f"{key[:2]}/{key}")
                take(await result.bytes_async())

        jobs = iter(keys)
        await asyncio.gather(*(work(jobs) for _ in range(_IN_FLIGHT)))

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        part: Buffer = await self._store.get_range_async(f"{key[:2]}/{key}", start=start, end=stop)
        return part


def _key(blob: bytes) -> str:
    key: str = blake3(blob, max_threads=blake3.AUTO).hexdigest()
    return key
