"""Every way in which a caller can be cancelled, and what must not be left of it then: a plugin of all tests."""

from __future__ import annotations

import asyncio
import gc
import os
import sys
import threading
from typing import TYPE_CHECKING, Any

import anyio
import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

_OURS = ("packhouse/blobs/", "packhouse/objects/")


def descriptors() -> int:
    """Count the open descriptors."""
    gc.collect()
    return len(list(os.scandir("/proc/self/fd")))


def busy_threads() -> int:
    """Count worker threads that are inside a call of ours."""
    others = [frame for ident, frame in sys._current_frames().items() if ident != threading.get_ident()]
    return sum(map(_is_ours, others))


def _is_ours(frame: Any) -> bool:
    while frame is not None:
        if any(room in frame.f_code.co_filename for room in _OURS):
            return True
        frame = frame.f_back
    return False


async def run_scope(delay: float, operation: Callable[[], Awaitable[Any]]) -> Any:
    with anyio.move_on_after(delay):
        return await operation()
    return None


async def run_cancel(delay: float, operation: Callable[[], Awaitable[Any]]) -> Any:
    task: asyncio.Task[Any] = asyncio.ensure_future(operation())
    await asyncio.sleep(delay)
    task.cancel()
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def run_cancel_often(delay: float, operation: Callable[[], Awaitable[Any]]) -> Any:
    task: asyncio.Task[Any] = asyncio.ensure_future(operation())
    await asyncio.sleep(delay)
    while not task.done():
        task.cancel()
        await asyncio.sleep(0)
    try:
        return await task
    except asyncio.CancelledError:
        return None


async def run_timeout(delay: float, operation: Callable[[], Awaitable[Any]]) -> Any:
    try:
        async with asyncio.timeout(delay):
            return await operation()
    except TimeoutError:
        return None


async def run_wait_for(delay: float, operation: Callable[[], Awaitable[Any]]) -> Any:
    try:
        return await asyncio.wait_for(operation(), delay)
    except TimeoutError:
        return None


WAYS = [run_scope, run_cancel, run_cancel_often, run_timeout, run_wait_for]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__[4:])
def way(request: pytest.FixtureRequest, anyio_backend: tuple[str, Any]) -> Any:
    if anyio_backend[0] != "asyncio" and request.param is not run_scope:
        pytest.skip("asyncio alone has it")
    return request.param
