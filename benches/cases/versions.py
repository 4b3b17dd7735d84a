"""The last of fifty versions of a 1 GiB blob, each with changes scattered over it: load it, count what all take."""

from __future__ import annotations

import os
import random
import statistics
from typing import TYPE_CHECKING

from blake3 import blake3

from benches import data, disk
from benches.cases.batch_limits import read_fresh
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import lap, megabytes_a_second
from benches.peers.contract import Peer, let_go

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from benches.scale import Scale

_CHANGED = 4 << 10


class _History:
    """A blob that changes in a few places from version to version."""

    def __init__(self, scale: Scale) -> None:
        self._blob = bytearray(data.blob("random", scale.versioned_bytes))
        self._changes = scale.changes_per_version
        self._places = random.Random(7)

    def change(self) -> None:
        for _ in range(self._changes):
            at = self._places.randrange(len(self._blob) - _CHANGED)
            self._blob[at : at + _CHANGED] = self._places.randbytes(_CHANGED)

    def version(self) -> bytes:
        return bytes(self._blob)


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer; where nothing inside is shared only the last version is saved: earlier ones change nothing."""
    scale = setting.scale
    history = _History(scale)
    peer = peer_class(setting.folder / "store")
    await peer.open()
    setting.settle()
    speeds: list[float] = []
    keys: list[str] = []
    for number in range(scale.versions + 1):
        if number:
            history.change()
        if number < scale.versions and not peer.splits:
            continue
        await peer.prepare(batch := [history.version()])
        with lap() as save:
            keys = await peer.save_durably(batch)
        speeds.append(megabytes_a_second(scale.versioned_bytes, save.seconds))
    expected = blake3(history.version(), max_threads=2).digest()

    def check(blob: Buffer) -> None:
        if blake3(blob, max_threads=2).digest() != expected:
            raise RuntimeError(f"{peer.label} did not load the last version")

    await peer.load(keys, check)
    loads: list[float] = []
    for _ in range(3):
        with lap() as load:
            await peer.load(keys, let_go)
        loads.append(megabytes_a_second(scale.versioned_bytes, load.seconds))
    stored = disk.usage(peer.folder).length
    await peer.close()
    return {
        "load_mbs": statistics.median(loads),
        "save_mbs": statistics.median(speeds),
        "stored_ratio": scale.versioned_bytes * len(speeds) / stored,
        "versions_saved": len(speeds),
    }


async def limit(setting: Setting) -> Metrics:
    """Read one plain file of that size into fresh bytes."""
    blob = data.blob("random", setting.scale.versioned_bytes)
    path = setting.folder / "blob"
    path.write_bytes(blob)
    loads: list[float] = []
    descriptor = os.open(path, os.O_RDONLY)
    try:
        for _ in range(3):
            with lap() as load:
                read = read_fresh(descriptor, len(blob), 0)
            loads.append(megabytes_a_second(read, load.seconds))
    finally:
        os.close(descriptor)
    with lap() as hashing:
        blake3(blob, max_threads=2).digest()
    hashed = megabytes_a_second(len(blob), hashing.seconds)
    return {"load_mbs": min(statistics.median(loads), hashed), "save_mbs": hashed}


CASE = Case(
    name="versions",
    title="The last of 50 versions of a 1 GiB blob with scattered changes",
    columns=(
        Column("load_mbs", "load MB/s", limit="load_mbs"),
        Column("save_mbs", "save MB/s, median", limit="save_mbs"),
        Column("stored_ratio", "raw : stored", 2),
        Column("versions_saved", "versions saved"),
    ),
    run=run,
    limit=limit,
    rounds=1,
)
