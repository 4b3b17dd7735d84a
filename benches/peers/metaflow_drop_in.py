"""Metaflow's store as packhouse-metaflow puts it together: the same files, written and read by the engine."""

from __future__ import annotations

from typing import Any

from metaflow.datastore.content_addressed_store import ContentAddressedStore
from metaflow.plugins.datastores.local_storage import LocalStorage

from benches.peers.metaflow_cas import MetaflowStore
from packhouse.compat.metaflow.store import VerifiedBlobs


class MetaflowDropIn(MetaflowStore):
    """`save_blobs` and `load_blobs` as tasks call them where the drop-in is installed."""

    label = "Metaflow with packhouse"
    distributions = ("metaflow", "packhouse")
    syncs = True
    verifies = "SHA-1"
    datastore = "local"

    async def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        make_storage: Any = LocalStorage
        stock: Any = ContentAddressedStore
        self._store = type("Store", (VerifiedBlobs, stock), {})("Flow/data", make_storage(str(self.folder)))
