"""Ours: durable when a save returns, every load verified with BLAKE3."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import packhouse
from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from typing_extensions import Buffer


class PackhouseStore(Peer):
    """`packhouse.open` on a folder, default options."""

    label = "packhouse"
    distributions = ("packhouse",)
    syncs = True
    verifies = "BLAKE3"
    blocks = False
    splits = True

    store: packhouse.BlobStore

    async def open(self) -> None:
        self._exits = AsyncExitStack()
        self.store = await self._exits.enter_async_context(packhouse.open(self.folder))

    async def close(self) -> None:
        await self._exits.aclose()

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        return [saved.key for saved in await self.store.save_blobs(blobs, len_hint=len(blobs))]

    async def load(self, keys: Sequence[str], take: Take) -> None:
        async for loaded in self.store.load_blobs(keys):
            take(loaded.data)
            del loaded

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        return await self.store.load_range(key, start, stop)

    async def put_names(self, documents: Mapping[str, object]) -> None:
        """Put all documents in one durable batch."""
        await self.store.names.put_many(packhouse.Document(name, doc) for name, doc in documents.items())

    async def list_names(self, prefix: str, *, page: int) -> AsyncIterator[list[str]]:
        """List the names under a prefix, page by page."""
        names = self.store.names.list(prefix)
        while found := await names.page(page):
            yield found
