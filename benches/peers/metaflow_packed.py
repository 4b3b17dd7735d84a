"""Metaflow's store with `--datastore packhouse`: blobs in packs, cut, deduplicated, compressed by zstd."""

from __future__ import annotations

from typing import Any

from metaflow.datastore.content_addressed_store import ContentAddressedStore

from benches.peers.metaflow_cas import MetaflowStore
from packhouse.compat.metaflow.packed.blobs import PackedBlobs
from packhouse.compat.metaflow.packed.storage import PackhouseStorage


class MetaflowPacked(MetaflowStore):
    """`save_blobs` and `load_blobs` as tasks call them with that type of datastore."""

    label = "Metaflow, --datastore packhouse"
    distributions = ("metaflow", "packhouse")
    syncs = True
    verifies = "BLAKE3"
    datastore = "packhouse"

    async def open(self) -> None:
        storage = PackhouseStorage.__new__(PackhouseStorage)  # the drop-in, which it asks for, is put together here
        storage.datastore_root = str(self.folder)
        stock: Any = ContentAddressedStore
        self._store = type("Store", (PackedBlobs, stock), {})("Flow/data", storage)
