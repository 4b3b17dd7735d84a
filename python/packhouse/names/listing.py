"""Names under a prefix, page by page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Self

from packhouse._engine import Cancel

if TYPE_CHECKING:
    from packhouse._engine import NameListing
    from packhouse.blobs.core import Core

__all__ = ["NameList"]

_PAGE = 1_000


class NameList(AsyncIterator[str]):
    """The names that begin with a prefix, as they were at the first look, in the order of their UTF-8 bytes."""

    def __init__(self, core: Core, prefix: str, after: str | None) -> None:
        self._core = core
        self._prefix = prefix
        self._after = after
        self._listing: NameListing | None = None
        self._names: list[str] = []

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> str:
        if not self._names:
            self._names = await self.page(_PAGE)
            self._names.reverse()
        if not self._names:
            raise StopAsyncIteration
        return self._names.pop()

    async def page(self, limit: int) -> list[str]:
        """Return the next names, at most so many; an empty list at the end."""
        cancel = Cancel()
        return await self._core.jobs.call(lambda: self._page(limit, cancel), cancel)

    def _page(self, limit: int, cancel: Cancel) -> list[str]:
        if self._listing is None:
            self._listing = self._core.names().scan(self._prefix, cancel)
            if self._after is not None:
                self._listing.skip_to(self._after)
        return self._listing.page(limit)
