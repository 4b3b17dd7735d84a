"""Metaflow's content-addressed store, local storage: SHA-1, gzip level 3, a file and a metadata file per blob."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, ClassVar

os.environ["METAFLOW_PACKHOUSE"] = "0"  # stock, also where our drop-in is installed

from metaflow.datastore.content_addressed_store import ContentAddressedStore
from metaflow.plugins.datastores.local_storage import LocalStorage

from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


class MetaflowStore(Peer):
    """`save_blobs` and `load_blobs` as tasks call them for artifacts."""

    label = "Metaflow"
    distributions: ClassVar[tuple[str, ...]] = ("metaflow",)
    syncs = False
    verifies = "gzip CRC-32"
    datastore: ClassVar[str | None] = None
    """The type of datastore that flows use with the drop-in; None for stock."""

    async def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        make_storage: Any = LocalStorage
        make_store: Any = ContentAddressedStore
        self._store = make_store("Flow/data", make_storage(str(self.folder)))

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        return [str(result.key) for result in self._store.save_blobs(iter(blobs), len_hint=len(blobs))]

    async def load(self, keys: Sequence[str], take: Take) -> None:
        for _, data in self._store.load_blobs(keys):
            take(data)
            del data

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        (found,) = self._store.load_blobs([key])
        return memoryview(found[1])[start:stop]
