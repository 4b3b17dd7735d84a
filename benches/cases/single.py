"""One 10 KiB blob at a time: how long until it is durable."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from benches import data, disk
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import quantile

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from benches.peers.contract import Peer

_SIZE = 10 << 10
_REHEARSALS = 3


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer."""
    peer = peer_class(setting.folder / "store")
    await peer.open()

    async def save(blob: bytes) -> None:
        await peer.save_durably([blob])

    metrics = await _latencies(setting, save)
    await peer.close()
    return metrics


async def limit(setting: Setting) -> Metrics:
    """Write each blob into a file of its own, sync it and its folder: the least that durability takes."""
    folder = setting.folder / "files"
    folder.mkdir()

    async def save(blob: bytes) -> None:
        descriptor = os.open(folder / os.urandom(16).hex(), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.write(descriptor, blob)
            os.fdatasync(descriptor)
        finally:
            os.close(descriptor)
        disk.sync_folder(folder)

    return await _latencies(setting, save)


async def _latencies(setting: Setting, save: Callable[[bytes], Awaitable[None]]) -> Metrics:
    blobs = data.blobs("random", count=setting.scale.single_saves + _REHEARSALS, size=_SIZE)
    setting.settle()
    for blob in blobs[:_REHEARSALS]:
        await save(blob)
    seconds: list[float] = []
    deadline = time.perf_counter() + setting.scale.single_seconds
    for blob in blobs[_REHEARSALS:]:
        start = time.perf_counter()
        await save(blob)
        end = time.perf_counter()
        seconds.append(end - start)
        if end > deadline:
            break
    return {
        "p50_ms": quantile(seconds, 0.5) * 1e3,
        "p99_ms": quantile(seconds, 0.99) * 1e3,
        "saves": len(seconds),
    }


CASE = Case(
    name="single",
    title="Save one 10 KiB blob durably (ms)",
    columns=(
        Column("p50_ms", "p50 ms", 2, limit="p50_ms"),
        Column("p99_ms", "p99 ms", 2, limit="p99_ms"),
        Column("saves", "saves"),
    ),
    run=run,
    limit=limit,
    many_files=lambda _variant: True,
)
