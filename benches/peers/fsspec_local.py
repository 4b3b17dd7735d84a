"""fsspec's local file system: one file a blob under its BLAKE3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from blake3 import blake3
from fsspec.implementations.local import LocalFileSystem

from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


class FsspecLocal(Peer):
    """`pipe_file` and `cat_file`; saving again writes again."""

    label = "fsspec (local)"
    distributions = ("fsspec", "blake3")
    syncs = False
    verifies = "nothing"

    async def open(self) -> None:
        self._files: Any = LocalFileSystem(auto_mkdir=False)
        for shard in range(256):
            (self.folder / f"{shard:02x}").mkdir(parents=True, exist_ok=True)

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        keys = []
        for blob in blobs:
            key = blake3(blob, max_threads=blake3.AUTO).hexdigest()
            self._files.pipe_file(self._place(key), blob)
            keys.append(key)
        return keys

    async def load(self, keys: Sequence[str], take: Take) -> None:
        for key in keys:
            take(self._files.cat_file(self._place(key)))

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        data: bytes = self._files.cat_file(self._place(key), start=start, end=stop)
        return data

    def _place(self, key: str) -> str:
        return f"{self.folder}/{key[:2]}/{key}"
