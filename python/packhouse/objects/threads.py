"""Calls that block, in threads, whose end is waited for through every kind of cancellation."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TypeVar

import anyio
from anyio import to_thread

__all__ = ["run_out"]

T = TypeVar("T")

_LOOK_EVERY = 0.002


async def run_out(
    call: Callable[[], T], *, stop: Callable[[], object] | None = None, limiter: anyio.CapacityLimiter | None = None
) -> T:
    """Make a call in a thread. When this raises, a cancellation too, the call has ended, or never begins.

    asyncio's own `task.cancel()` and `timeout` pierce anyio's shield: they would leave the thread alone with files that
    are closed meanwhile, a lock that is given up, a buffer that is not ours any more.

    Args:
        call: what blocks.
        stop: lets the call end soon; called when it is given up. Without it a cancellation waits for the call.
        limiter: how many may run at once; anyio's own bound by default.
    """
    begun, ended = threading.Lock(), threading.Event()

    def called() -> T:
        if not begun.acquire(blocking=False):
            raise RuntimeError("cancelled before it began")  # nobody waits for it any more
        try:
            return call()
        finally:
            ended.set()

    try:
        return await to_thread.run_sync(called, abandon_on_cancel=stop is not None, limiter=limiter)
    except anyio.get_cancelled_exc_class():
        if stop is not None:
            stop()
        if not begun.acquire(blocking=False):
            await _wait_out(ended)
        raise


async def _wait_out(ended: threading.Event) -> None:
    while not ended.is_set():
        try:
            with anyio.CancelScope(shield=True):
                await anyio.sleep(_LOOK_EVERY)
        except anyio.get_cancelled_exc_class():  # the first one is raised when all is over
            continue
