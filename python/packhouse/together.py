"""Several things at once, a few at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import anyio

__all__ = ["together"]

T = TypeVar("T")


async def together(items: AsyncIterator[T], doing: Callable[[T], Awaitable[None]], at_once: int) -> None:
    """Do it for every item; the first error ends the rest and is raised by itself, not in a group.

    The next item is asked for when there is room for it, so that never more than `at_once` and one are held.
    """
    slots = anyio.Semaphore(at_once)
    failures: list[Exception] = []

    async def do(item: T) -> None:
        try:
            await doing(item)
        except Exception as error:  # noqa: BLE001 - raised below, not in a group
            failures.append(error)
            tasks.cancel_scope.cancel()
        finally:
            slots.release()

    async with anyio.create_task_group() as tasks:
        try:
            async for item in items:
                await slots.acquire()
                tasks.start_soon(do, item)
                del item  # it may be long before there is another
        except Exception as error:  # noqa: BLE001 - raised below, not in a group
            failures.append(error)
            tasks.cancel_scope.cancel()
    if failures:
        raise failures[0]
