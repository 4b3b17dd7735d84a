"""Ways to cancel a coroutine at its n-th suspension, on asyncio and on trio."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any

import anyio


class Driven(Awaitable[Any]):
    """A coroutine driven by hand: at suspension `at`, and `again` suspensions after that, it is struck.

    `strike` returns an exception to throw right there, or None when it has asked somebody else to cancel.
    """

    def __init__(
        self, work: Coroutine[Any, Any, Any], at: int, strike: Callable[[], BaseException | None], again: int = 0
    ) -> None:
        self.work, self.at, self.strike, self.again = work, at, strike, again
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, Any]:
        sent: Any = None
        error: BaseException | None = None
        while True:
            try:
                trap = self.work.send(sent) if error is None else self.work.throw(error)
            except StopIteration as stop:
                return stop.value
            sent, error = None, None
            self.suspensions += 1
            if 0 < self.at <= self.suspensions <= self.at + self.again:
                error = self.strike()
                if error is not None:
                    if getattr(trap, "_asyncio_future_blocking", False):
                        trap._asyncio_future_blocking = False  # nobody waits for it now
                    continue
            try:
                sent = yield trap
            except BaseException as thrown:  # noqa: BLE001 - handed on
                error = thrown


Making = Callable[[], Coroutine[Any, Any, Any]]
Style = Callable[[Making, int], Coroutine[Any, Any, tuple[Any, int]]]
"""Runs the coroutine, cancels it at the n-th suspension (0: never); returns its result and its suspensions."""


async def throw(make: Making, at: int) -> tuple[Any, int]:
    """Throw CancelledError into the coroutine itself, as nothing but a hand can."""
    driven = Driven(make(), at, asyncio.CancelledError)
    return await driven, driven.suspensions


def _cancel(task: asyncio.Task[Any]) -> None:
    task.cancel()


async def task_cancel(make: Making, at: int, again: int = 0) -> tuple[Any, int]:
    """asyncio's `task.cancel()`."""

    async def run() -> Any:
        task = asyncio.current_task()
        assert task is not None
        driven.strike = lambda: _cancel(task)
        return await driven

    driven = Driven(make(), at, lambda: None, again)
    return await asyncio.create_task(run()), driven.suspensions


async def task_cancel_thrice(make: Making, at: int) -> tuple[Any, int]:
    """An impatient user: `task.cancel()` at three suspensions in a row."""
    return await task_cancel(make, at, again=2)


async def timeout(make: Making, at: int) -> tuple[Any, int]:
    """`asyncio.timeout` that runs out there."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(None) as scope:

        def strike() -> None:
            if not scope.expired():
                scope.reschedule(loop.time())

        driven = Driven(make(), at, strike)
        return await driven, driven.suspensions


async def wait_for(make: Making, at: int) -> tuple[Any, int]:
    """`asyncio.wait_for`, cancelled from outside at that suspension."""
    outer = asyncio.current_task()
    assert outer is not None

    def strike() -> None:
        outer.cancel()

    driven = Driven(make(), at, strike)

    async def run() -> Any:
        return await driven

    return await asyncio.wait_for(run(), 3600), driven.suspensions


async def scope(make: Making, at: int) -> tuple[Any, int]:
    """An anyio cancel scope, on either backend."""
    with anyio.CancelScope() as cancelled:
        driven = Driven(make(), at, cancelled.cancel)
        return await driven, driven.suspensions
    return None, driven.suspensions


async def fail_after(make: Making, at: int) -> tuple[Any, int]:
    """`anyio.fail_after` whose deadline is then."""
    with anyio.fail_after(3600) as cancelled:

        def strike() -> None:
            cancelled.deadline = anyio.current_time()

        driven = Driven(make(), at, strike)
        return await driven, driven.suspensions


MOMENTS = 24
"""So many moments of an operation are tried by the late styles."""


class Late:
    """Cancels while a thread works for the operation: at the n-th part of the time it takes undisturbed."""

    def __init__(self, end: Callable[[Making, float], Coroutine[Any, Any, Any]]) -> None:
        self._end = end
        self._duration = 0.0

    async def __call__(self, make: Making, at: int) -> tuple[Any, int]:
        """Run undisturbed and take the time, or disturb."""
        if at:
            return await self._end(make, self._duration * 1.1 * at / MOMENTS), MOMENTS
        start = time.perf_counter()
        result = await make()
        self._duration = time.perf_counter() - start
        return result, MOMENTS


async def _cancel_after(make: Making, delay: float) -> Any:
    task = asyncio.create_task(make())
    await asyncio.sleep(delay)
    task.cancel()
    return await task


async def _cancel_again_and_again(make: Making, delay: float) -> Any:
    task = asyncio.create_task(make())
    await asyncio.sleep(delay)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    return await task


async def _timeout_after(make: Making, delay: float) -> Any:
    async with asyncio.timeout(delay):
        return await make()


async def _wait_for(make: Making, delay: float) -> Any:
    return await asyncio.wait_for(make(), delay)


async def _scope_after(make: Making, delay: float) -> Any:
    with anyio.move_on_after(delay):
        return await make()


STYLES: dict[str, dict[str, Style]] = {
    "asyncio": {
        "throw": throw,
        "task.cancel": task_cancel,
        "task.cancel thrice": task_cancel_thrice,
        "asyncio.timeout": timeout,
        "asyncio.wait_for": wait_for,
        "scope": scope,
        "fail_after": fail_after,
        "late task.cancel": Late(_cancel_after),
        "late task.cancel, again and again": Late(_cancel_again_and_again),
        "late asyncio.timeout": Late(_timeout_after),
        "late asyncio.wait_for": Late(_wait_for),
        "late scope": Late(_scope_after),
    },
    "trio": {"scope": scope, "fail_after": fail_after, "late scope": Late(_scope_after)},
}
