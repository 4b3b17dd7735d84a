"""How far memory rises above the caller's own bytes while a batch is saved and loaded."""

from __future__ import annotations

from benches import data
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import MemoryPeak
from benches.peers.contract import Peer, let_go


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer.

    The caller owns the whole batch while it saves, and one loaded blob at a time while it loads: that blob is
    subtracted from the rise.
    """
    kind, _, shape_name = setting.variant.partition("/")
    shape = setting.scale.shape(shape_name)
    peer = peer_class(setting.folder / "store")
    await peer.open()
    keys = await peer.save_durably(data.blobs("random", count=2, size=1 << 10, seed=2))
    await peer.load(keys, let_go)

    blobs = data.blobs(kind, count=shape.count, size=shape.size)
    peak = MemoryPeak()
    keys = await peer.save_durably(blobs)
    saving = peak.rise()
    del blobs

    peak = MemoryPeak()
    await peer.load(keys, let_go)
    loading = max(peak.rise() - shape.size, 0)
    await peer.close()
    return {"save_mib": saving / 2**20, "load_mib": loading / 2**20}


CASE = Case(
    name="memory",
    title="Memory beyond the caller's own bytes (MiB, peak)",
    columns=(Column("save_mib", "save", 1), Column("load_mib", "load", 1)),
    run=run,
    variants=lambda scale: scale.memory_batches,
    inside=True,
    rounds=1,
)
