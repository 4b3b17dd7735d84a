"""How long the event loop is held up: the lateness of a task that wants to run every millisecond."""

from __future__ import annotations

import time
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import anyio

from benches.measure import quantile

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

    from typing_extensions import Buffer

    from benches.peers.contract import Peer

_TICK = 0.001

T = TypeVar("T")


class Gaps:
    """Lateness of the ticks, in seconds, without the time in which the caller itself freed what it had loaded."""

    def __init__(self) -> None:
        self._late: list[float] = []
        self._frees: list[tuple[float, float]] = []
        self._held: list[Buffer] = []

    @property
    def p99_ms(self) -> float:
        """Milliseconds that 99 of 100 ticks are not late."""
        return quantile(self._late, 0.99) * 1e3

    @property
    def max_ms(self) -> float:
        """Milliseconds that the latest tick is late."""
        return max(self._late) * 1e3

    @property
    def ticks(self) -> int:
        """How many ticks there were."""
        return len(self._late)

    @asynccontextmanager
    async def watching(self) -> AsyncIterator[None]:
        """Watch the loop during a block; what the block raises comes out of it unwrapped."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self._tick)
                await anyio.sleep(10 * _TICK)
                self._late.clear()
                yield
                await anyio.sleep(2 * _TICK)
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None

    def take(self, blob: Buffer) -> None:
        """Hold a loaded blob until the next one comes."""
        start = time.perf_counter()
        self._held.clear()
        self._frees.append((start, time.perf_counter()))
        self._held.append(blob)

    async def _tick(self) -> None:
        last = time.perf_counter()
        while True:
            await anyio.sleep(_TICK)
            now = time.perf_counter()
            self._late.append(max(now - last - _TICK - self._freeing(last, now), 0.0))
            last = now

    def _freeing(self, start: float, end: float) -> float:
        spent = sum(min(end, until) - max(start, since) for since, until in self._frees if until > start)
        self._frees.clear()
        return spent


async def aside(peer: Peer, work: Coroutine[Any, Any, T]) -> T:
    """Await what a peer does; one that blocks is called in a worker thread, as a careful caller would."""
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
