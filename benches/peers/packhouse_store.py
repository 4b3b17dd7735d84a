"""Ours: durable when a save returns, every load verified with BLAKE3."""

from __future__ import annotations

import importlib
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from typing_extensions import Buffer


_packhouse: Any = importlib.import_module("packhouse")
if not hasattr(_packhouse, "open"):
    raise ImportError("packhouse is not built")


class PackhouseStore(Peer):
    """`packhouse.open` on a folder, default options."""

    label = "packhouse"
    distributions = ("packhouse",)
    syncs = True
    verifies = "BLAKE3"
    blocks = False
    splits = True

    store: Any

    async def open(self) -> None:
        self._exits = AsyncExitStack()
        self.store = await self._exits.enter_async_context(_packhouse.open(self.folder))

    async def close(self) -> None:
        await self._exits.aclose()

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        return [saved.key for saved in await self.store.save_blobs(blobs, len_hint=len(blobs))]

    async def load(self, keys: Sequence[str], take: Take) -> None:
        async for loaded in self.store.load_blobs(keys):
            take(loaded.data)
            del loaded

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        part: Buffer = await self.store.load_range(key, start, stop)
        return part

    async def put_names(self, documents: Mapping[str, object]) -> None:
        """Put all documents in one durable batch."""
        await self.store.names.put_many(documents)

    async def list_names(self, prefix: str) -> AsyncIterator[str]:
        """List the names under a prefix."""
        async for name in self.store.names.list(prefix):
            yield name
