"""Async iterators, driven from a thread that waits."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from packhouse.errors import StoreClosed

if TYPE_CHECKING:
    from packhouse.sync.portal import Portal

__all__ = ["drive"]

T = TypeVar("T")

_END: Any = object()


def drive(portal: Portal, made: AsyncIterator[T]) -> Iterator[T]:
    """Hand out what an async iterator gives; it is closed when the iteration ends or is left."""
    try:
        while (item := portal.call(_next, made)) is not _END:
            yield item
    finally:
        with suppress(StoreClosed):
            portal.call(_close, made)


async def _next(made: AsyncIterator[T]) -> T:
    return await anext(made, _END)


async def _close(made: Any) -> None:
    close = getattr(made, "aclose", None)
    if close is not None:
        await close()
