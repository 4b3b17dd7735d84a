"""How long the event loop is held up while batches are saved and loaded: a task that wants to run every millisecond."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from benches import data
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import quantile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from typing_extensions import Buffer

    from benches.peers.contract import Peer

_TICK = 0.001
_IDLE_SECONDS = 1.0
_LOAD_SECONDS = 1.0
"""Loads are repeated for so long: a batch of small blobs is over after a few ticks."""

T = TypeVar("T")


class _Gaps:
    """Lateness of the ticks, in seconds, without the time in which the caller itself freed what it had loaded."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.frees: list[tuple[float, float]] = []

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._tick)
            await anyio.sleep(10 * _TICK)
            self.late.clear()
            yield
            await anyio.sleep(2 * _TICK)
            tasks.cancel_scope.cancel()

    async def _tick(self) -> None:
        last = time.perf_counter()
        while True:
            await anyio.sleep(_TICK)
            now = time.perf_counter()
            self.late.append(max(now - last - _TICK - self._freeing(last, now), 0.0))
            last = now

    def _freeing(self, start: float, end: float) -> float:
        spent = sum(min(end, until) - max(start, since) for since, until in self.frees if until > start)
        self.frees.clear()
        return spent

    def metrics(self, name: str) -> Metrics:
        return {
            f"{name}_p99_ms": quantile(self.late, 0.99) * 1e3,
            f"{name}_max_ms": max(self.late) * 1e3,
            f"{name}_ticks": len(self.late),
        }


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer; one that blocks is called in a worker thread, as a careful caller would."""
    kind, _, shape_name = setting.variant.partition("/")
    shape = setting.scale.shape(shape_name)
    blobs = data.blobs(kind, count=shape.count, size=shape.size)
    peer = peer_class(setting.folder / "store")
    await peer.open()
    saving, loading = _Gaps(), _Gaps()
    async with saving.watching():
        keys = await _aside(peer, peer.save_durably(blobs))
    held: list[Buffer] = []

    def take(blob: Buffer) -> None:
        start = time.perf_counter()
        held.clear()
        loading.frees.append((start, time.perf_counter()))
        held.append(blob)

    deadline = time.perf_counter() + _LOAD_SECONDS
    async with loading.watching():
        while True:
            await _aside(peer, peer.load(keys, take))
            if time.perf_counter() > deadline:
                break
    await peer.close()
    return saving.metrics("save") | loading.metrics("load")


async def limit(_setting: Setting) -> Metrics:
    """Watch an idle loop: what the machine itself holds up."""
    gaps = _Gaps()
    async with gaps.watching():
        await anyio.sleep(_IDLE_SECONDS)
    return gaps.metrics("save") | gaps.metrics("load")


async def _aside(peer: Peer, work: Coroutine[Any, Any, T]) -> T:
    if not peer.blocks:
        return await work
    return await anyio.to_thread.run_sync(_finish, work)


def _finish(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine that blocks instead of waiting."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("a peer that blocks waited for the event loop")


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
