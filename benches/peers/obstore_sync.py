"""obstore's local store, blocking calls: one object a blob under its BLAKE3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blake3 import blake3
from obstore.store import LocalStore

from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


class ObstoreSync(Peer):
    """`put` and `get`, one after the other; saving again writes again."""

    label = "obstore (sync)"
    distributions = ("obstore", "blake3")
    syncs = False
    verifies = "nothing"

    async def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self._store: Any = LocalStore(str(self.folder))

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        keys = []
        for blob in blobs:
            key: str = blake3(blob, max_threads=blake3.AUTO).hexdigest()
            self._store.put(f"{key[:2]}/{key}", blob)
            keys.append(key)
        return keys

    async def load(self, keys: Sequence[str], take: Take) -> None:
        for key in keys:
            take(self._store.get(f"{key[:2]}/{key}").bytes())

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        part: Buffer = self._store.get_range(f"{key[:2]}/{key}", start=start, end=stop)
        return part
