"""How long the event loop is held up while batches are saved and loaded."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import anyio

from benches import data
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.gaps import Gaps, aside

if TYPE_CHECKING:
    from benches.peers.contract import Peer

_IDLE_SECONDS = 1.0
_LOAD_SECONDS = 1.0
"""Loads are repeated for so long: a batch of small blobs is over after a few ticks."""


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer."""
    kind, _, shape_name = setting.variant.partition("/")
    shape = setting.scale.shape(shape_name)
    blobs = data.blobs(kind, count=shape.count, size=shape.size)
    peer = peer_class(setting.folder / "store")
    await peer.open()
    saving, loading = Gaps(), Gaps()
    async with saving.watching():
        keys = await aside(peer, peer.save_durably(blobs))
    deadline = time.perf_counter() + _LOAD_SECONDS
    async with loading.watching():
        while True:
            await aside(peer, peer.load(keys, loading.take))
            if time.perf_counter() > deadline:
                break
    await peer.close()
    return _metrics("save", saving) | _metrics("load", loading)


async def limit(_setting: Setting) -> Metrics:
    """Watch an idle loop: what the machine itself holds up."""
    gaps = Gaps()
    async with gaps.watching():
        await anyio.sleep(_IDLE_SECONDS)
    return _metrics("save", gaps) | _metrics("load", gaps)


def _metrics(name: str, gaps: Gaps) -> Metrics:
    return {f"{name}_p99_ms": gaps.p99_ms, f"{name}_max_ms": gaps.max_ms, f"{name}_ticks": gaps.ticks}


CASE = Case(
    name="loop-gap",
    title="Event loop held up, caller's own frees subtracted (ms)",
    columns=(
        Column("save_p99_ms", "save p99", 2),
        Column("save_max_ms", "max", 2),
        Column("load_p99_ms", "load p99", 2),
        Column("load_max_ms", "max", 2),
    ),
    run=run,
    limit=limit,
    variants=lambda scale: scale.gap_batches,
    inside=True,
)
