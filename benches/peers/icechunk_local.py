"""icechunk on a folder: a batch is one Zarr array, a row a blob, rows cut at 16 MiB; one commit a batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import icechunk
import numpy as np
import zarr

from benches.peers.contract import Peer, Take

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from typing_extensions import Buffer

_CHUNK = 16 << 20
_READ = 64 << 20


class IcechunkLocal(Peer):
    """Zarr's default compression (zstd); keys are `array/row`, nothing is hashed or deduplicated."""

    label = "icechunk"
    distributions = ("icechunk", "zarr")
    syncs = False
    verifies = "nothing"

    async def open(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        storage = icechunk.local_filesystem_storage(str(self.folder))
        self._repository: Any = icechunk.Repository.open_or_create(storage)

    async def save(self, blobs: Sequence[bytes]) -> list[str]:
        size = len(blobs[0])
        if any(len(blob) != size for blob in blobs):
            raise ValueError("blobs of one batch must be of one size here")
        session = self._repository.writable_session("main")
        name = f"batch-{len(list(zarr.open_group(session.store, mode='a').array_keys()))}"
        array: Any = zarr.create_array(
            session.store, name=name, shape=(len(blobs), size), chunks=(1, min(size, _CHUNK)), dtype="uint8"
        )
        rows = max(_READ // size, 1)
        for first in range(0, len(blobs), rows):
            part = blobs[first : first + rows]
            array[first : first + len(part)] = np.stack([np.frombuffer(blob, np.uint8) for blob in part])
        session.commit(name)
        return [f"{name}/{row}" for row in range(len(blobs))]

    async def load(self, keys: Sequence[str], take: Take) -> None:
        store = self._repository.readonly_session("main").store
        for name, first, last in _runs(keys):
            array: Any = zarr.open_array(store, path=name, mode="r")
            rows = max(_READ // array.shape[1], 1)
            for start in range(first, last, rows):
                for row in array[start : min(start + rows, last)]:
                    take(row)

    async def load_range(self, key: str, start: int, stop: int) -> Buffer:
        name, _, row = key.partition("/")
        array: Any = zarr.open_array(self._repository.readonly_session("main").store, path=name, mode="r")
        part: Buffer = array[int(row), start:stop]
        return part


def _runs(keys: Sequence[str]) -> Iterator[tuple[str, int, int]]:
    """Join keys that follow each other in one array: (array, first row, row after the last)."""
    run: tuple[str, int, int] | None = None
    for key in keys:
        name, _, row = key.partition("/")
        if run is not None and run[0] == name and run[2] == int(row):
            run = (name, run[1], run[2] + 1)
            continue
        if run is not None:
            yield run
        run = (name, int(row), int(row) + 1)
    if run is not None:
        yield run
