"""Parts of a 256 MiB blob: one range at a time, at random places."""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

from benches import data
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import megabytes_a_second, quantile
from benches.scale import KIB, MIB

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from typing_extensions import Buffer

    from benches.peers.contract import Peer

_SMALL = 64 * KIB
_LARGE = 4 * MIB


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer."""
    blob = data.blob("random", setting.scale.insert_bytes)
    peer = peer_class(setting.folder / "store")
    await peer.open()
    (key,) = await peer.save_durably([blob])

    async def read(start: int, stop: int) -> Buffer:
        return await peer.load_range(key, start, stop)

    metrics = await _read_ranges(setting, blob, read)
    await peer.close()
    return metrics


async def limit(setting: Setting) -> Metrics:
    """Read the ranges of a plain file into fresh bytes."""
    blob = data.blob("random", setting.scale.insert_bytes)
    path = setting.folder / "blob"
    path.write_bytes(blob)
    descriptor = os.open(path, os.O_RDONLY)

    async def read(start: int, stop: int) -> Buffer:
        return os.pread(descriptor, stop - start, start)

    try:
        return await _read_ranges(setting, blob, read)
    finally:
        os.close(descriptor)


async def _read_ranges(setting: Setting, blob: bytes, read: Callable[[int, int], Awaitable[Buffer]]) -> Metrics:
    small = await _latencies(setting, blob, read, size=_SMALL)
    large = await _latencies(setting, blob, read, size=min(_LARGE, len(blob) // 2))
    return {
        "small_p50_ms": quantile(small, 0.5) * 1e3,
        "small_p99_ms": quantile(small, 0.99) * 1e3,
        "large_p50_ms": quantile(large, 0.5) * 1e3,
        "large_mbs": megabytes_a_second(min(_LARGE, len(blob) // 2), quantile(large, 0.5)),
    }


async def _latencies(
    setting: Setting, blob: bytes, read: Callable[[int, int], Awaitable[Buffer]], *, size: int
) -> list[float]:
    places = random.Random(size)
    seconds: list[float] = []
    deadline = time.perf_counter() + setting.scale.single_seconds
    for number in range(setting.scale.range_reads + 1):
        at = places.randrange(len(blob) - size)
        start = time.perf_counter()
        part = await read(at, at + size)
        end = time.perf_counter()
        if memoryview(part) != memoryview(blob)[at : at + size]:
            raise RuntimeError("a range is not what was saved")
        del part
        if number > 0:
            seconds.append(end - start)
        if end > deadline and seconds:
            break
    return seconds


CASE = Case(
    name="ranges",
    title="Load one range of a 256 MiB blob",
    columns=(
        Column("small_p50_ms", "64 KiB p50 ms", 3, limit="small_p50_ms"),
        Column("small_p99_ms", "p99 ms", 3, limit="small_p99_ms"),
        Column("large_p50_ms", "4 MiB p50 ms", 3, limit="large_p50_ms"),
        Column("large_mbs", "4 MiB MB/s"),
    ),
    run=run,
    limit=limit,
    rounds=1,
)
