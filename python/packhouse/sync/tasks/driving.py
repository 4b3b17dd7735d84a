"""Iterators across the portal: async ones are driven from a thread that waits, handed in ones are read in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from packhouse.errors import StoreClosed

if TYPE_CHECKING:
    from packhouse.sync.portal import Portal

__all__ = ["drive", "taken"]

T = TypeVar("T")

_END: Any = object()


def drive(portal: Portal, made: AsyncIterator[T]) -> Iterator[T]:
    """Hand out what an async iterator gives; it is closed when the iteration ends or is left."""
    try:
        while True:
            given = [portal.call(_next, made)]
            if given[0] is _END:
                return
            yield given.pop()  # nothing of it is held here while the next is made
    finally:
        with suppress(StoreClosed):
            portal.call(_close, made)


def taken(names: Any) -> Any:
    """Read an iterable in the caller's thread: it may call the store itself. A `str` stays as it is."""
    return list(names) if isinstance(names, Iterable) and not isinstance(names, str) else names


async def _next(made: AsyncIterator[T]) -> T:
    return await anext(made, _END)


async def _close(made: Any) -> None:
    close = getattr(made, "aclose", None)
    if close is not None:
        await close()
