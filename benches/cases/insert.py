"""A second version with 1 KiB inserted: bytes added on disk, everything counted, and the time of the save."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING

from benches import data, disk
from benches.cases.batch_limits import hash_two
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import lap, megabytes_a_second

if TYPE_CHECKING:
    from benches.peers.contract import Peer

_INSERTED = 1 << 10


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer: each position against the same first version; one position where nothing inside is shared."""
    scale = setting.scale
    base = data.blob("random", scale.insert_bytes)
    positions = scale.insert_positions if peer_class.splits else 1
    inserts = data.blobs("random", count=positions, size=_INSERTED, seed=3)
    peer = peer_class(setting.folder / "store")
    await peer.open()
    await peer.save_durably([base])

    added: list[int] = []
    blocks: list[int] = []
    speeds: list[float] = []
    for number, insert in enumerate(inserts):
        at = _position(number, positions, len(base))
        blob = base[:at] + insert + base[at:]
        await peer.prepare(batch := [blob])
        setting.settle()
        before = disk.usage(peer.folder)
        with lap() as save:
            await peer.save_durably(batch)
        after = disk.usage(peer.folder)
        added.append(after.length - before.length)
        blocks.append(after.blocks - before.blocks)
        speeds.append(megabytes_a_second(len(blob), save.seconds))
    await peer.close()
    return {
        "added_kb": statistics.fmean(added) / 1e3,
        "added_max_kb": max(added) / 1e3,
        "added_blocks_kb": statistics.fmean(blocks) / 1e3,
        "added_share": statistics.fmean(added) / len(base),
        "save_mbs": statistics.median(speeds),
        "positions": positions,
    }


async def limit(setting: Setting) -> Metrics:
    """Hash as many bytes on two threads: next to nothing is new."""
    size = setting.scale.insert_bytes
    return {"save_mbs": megabytes_a_second(size, hash_two([data.blob("random", size)]))}


def _position(number: int, positions: int, size: int) -> int:
    """Spread the positions over the blob, at odd places; one position is the middle."""
    return size * (2 * number + 1) // (2 * positions) + 37 * number


CASE = Case(
    name="insert",
    title="Second version, 1 KiB inserted in 256 MiB (kB added on disk)",
    columns=(
        Column("added_kb", "added kB, mean", 1),
        Column("added_max_kb", "largest", 1),
        Column("added_blocks_kb", "by blocks", 1),
        Column("added_share", "of the blob", 3),
        Column("save_mbs", "save MB/s", limit="save_mbs"),
        Column("positions", "positions"),
    ),
    run=run,
    limit=limit,
    rounds=1,
)
