"""A batch: save it durably, save it again, load it; with CPU seconds and what it takes on disk."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from blake3 import blake3

from benches import data, disk
from benches.cases.batch_limits import batch_limits
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import lap, megabytes_a_second
from benches.peers.contract import Peer, let_go

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer."""
    kind, _, shape_name = setting.variant.partition("/")
    shape = setting.scale.shape(shape_name)
    blobs = data.blobs(kind, count=shape.count, size=shape.size)
    await _rehearse(peer_class(setting.folder / "rehearsal"))

    peer = peer_class(setting.folder / "store")
    await peer.open()
    await peer.prepare(blobs)
    empty = disk.usage(peer.folder)
    setting.settle()
    with lap() as save:
        keys = await peer.save_durably(blobs)
    stored = disk.usage(peer.folder)
    setting.settle()
    with lap() as again:
        await peer.save_durably(blobs)
    setting.settle()
    await _check(peer, keys, blobs)
    loaded = 0

    def take(blob: Buffer) -> None:
        nonlocal loaded
        loaded += len(memoryview(blob))

    with lap() as load:
        await peer.load(keys, take)
    await peer.close()
    if loaded != shape.total:
        raise RuntimeError(f"{peer.label} loaded {loaded} bytes of {shape.total}")
    return {
        "bytes": shape.total,
        "save_mbs": megabytes_a_second(shape.total, save.seconds),
        "again_mbs": megabytes_a_second(shape.total, again.seconds),
        "load_mbs": megabytes_a_second(shape.total, load.seconds),
        "save_cpu_seconds": save.cpu_seconds,
        "load_cpu_seconds": load.cpu_seconds,
        "stored_bytes": stored.length - empty.length,
        "stored_ratio": shape.total / max(stored.length - empty.length, 1),
        "stored_files": stored.files - empty.files,
    }


async def _rehearse(peer: Peer) -> None:
    """Go through all calls once: imports, thread pools and caches are there before the clock runs."""
    await peer.open()
    keys = await peer.save_durably(data.blobs("random", count=4, size=10 << 10, seed=2))
    await peer.load(keys, let_go)
    await peer.close()


async def _check(peer: Peer, keys: Sequence[str], blobs: Sequence[bytes]) -> None:
    """Load everything once, untimed: what is measured has to be right, and the page cache is warm afterwards."""
    missing = Counter(blake3(blob, max_threads=2).digest() for blob in blobs)

    def take(blob: Buffer) -> None:
        missing[blake3(blob, max_threads=2).digest()] -= 1

    await peer.load(keys, take)
    if any(missing.values()):
        raise RuntimeError(f"{peer.label} did not load what was saved")


CASE = Case(
    name="batch",
    title="Save, save again, load (MB/s)",
    columns=(
        Column("save_mbs", "save", limit="save_limit_mbs"),
        Column("again_mbs", "again", limit="hash2_mbs"),
        Column("load_mbs", "load", limit="load_limit_mbs"),
        Column("stored_ratio", "raw : stored", 2),
        Column("save_cpu_seconds", "save CPU s", 2),
        Column("load_cpu_seconds", "load CPU s", 2),
    ),
    run=run,
    limit=batch_limits,
    variants=lambda scale: scale.batches,
    many_files=lambda variant: variant.endswith("/10KiB"),
)
