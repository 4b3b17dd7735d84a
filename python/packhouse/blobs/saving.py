"""Saving: many blobs in one durable commit, or in several on request."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeAlias, cast

from packhouse.blobs.intake import Intake, iterate, owner_waits
from packhouse.blobs.records import SavedBlob
from packhouse.blobs.session import Session
from packhouse.blobs.sources import BlobSource, end_generator
from packhouse.errors import InvalidInput, StoreClosed

if TYPE_CHECKING:
    from types import TracebackType

    from packhouse._engine import Saved
    from packhouse.blobs.core import Core
    from packhouse.blobs.progress import Tally

__all__ = ["Blobs", "Saving", "make_saved", "outside", "save_all", "unpack"]

Blobs: TypeAlias = Iterable[BlobSource] | AsyncIterable[BlobSource]
"""What `save_blobs` takes: an iterable, sync or async, of blobs."""

_LOG = logging.getLogger("packhouse")
_MADE_ON_LOOP = 128

_make = cast("Any", partial(tuple.__new__, SavedBlob))


def make_saved(saved: Saved, start: int, stop: int) -> list[SavedBlob]:
    """Make the results of a range."""
    made: list[SavedBlob] = saved.take(start, stop, _make)
    return made


async def save_all(core: Core, blobs: Blobs, *, pin: bool, check: bool, tally: Tally) -> list[SavedBlob]:
    """Save all blobs in one batch and return what became of each."""
    source = iterate(blobs)
    session = Session(core, pin=pin, check=check, tally=tally)
    try:
        intake = Intake(session, budget=core.budget, owner_waits=owner_waits(blobs))
        await intake.pull(source)
        saved = await intake.finish()
    except BaseException:
        await session.withdraw()
        await end_generator(source)
        raise
    return await unpack(core, saved)


async def unpack(core: Core, saved: Saved) -> list[SavedBlob]:
    """Make the results of a committed batch: what is durable is told, whatever is cancelled meanwhile."""
    count = len(saved)
    if count <= _MADE_ON_LOOP:
        made = make_saved(saved, 0, count)
    else:
        try:
            job = core.jobs.start(lambda: make_saved(saved, 0, count), shield=True)
        except StoreClosed:
            made = make_saved(saved, 0, count)
        else:
            await job.wait_out()
            made = job.outcome()
    if _LOG.isEnabledFor(logging.DEBUG):
        size, waited = sum(blob.size for blob in made), core.committer.wait_seconds
        _LOG.debug("saved %d blobs, %d bytes; commits were waited for %.3f s since opening", count, size, waited)
    return made


def outside(block: str) -> InvalidInput:
    """Make the error for results that are iterated outside their block, where nothing would be saved."""
    return InvalidInput(f"saving: results are there inside their block only: use it within `{block}`", kind="option")


class Saving:
    """Saves while it is iterated; yields only what is committed.

    `async with store.saving(...) as results: async for saved in results: ...`. Leaving the block before the iteration
    has ended withdraws what is not committed. Outside the block there is nothing to iterate: `InvalidInput`.
    """

    def __init__(
        self, core: Core, blobs: Blobs, *, commit_every: int | None, pin: bool, check: bool, tally: Tally
    ) -> None:
        if commit_every is not None and commit_every <= 0:
            raise InvalidInput(f"commit_every is a number of bytes, at least 1, not {commit_every}", kind="option")
        self._core = core
        self._blobs = blobs
        self._limit = commit_every
        self._pin = pin
        self._check = check
        self._tally = tally
        self._source: Iterator[Any] | AsyncIterator[Any] | None = None
        self._session: Session | None = None
        self._inside = False
        self._made: Iterator[SavedBlob] = iter(())
        self._saved: Saved | None = None
        self._taken = 0
        self._index = 0

    async def __aenter__(self) -> Self:
        self._source = iterate(self._blobs)
        self._inside = True
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        source, self._source = self._source, None
        self._inside = False
        self._saved = None
        self._made = iter(())
        await self._withdraw()
        await end_generator(source)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> SavedBlob:
        if not self._inside:
            raise outside("async with")
        while True:
            for blob in self._made:
                return blob
            if not await self._more():
                raise StopAsyncIteration

    async def next_many(self) -> list[SavedBlob]:
        """Return what is committed and not yet handed out, at least one; an empty list at the end."""
        if not self._inside:
            raise outside("async with")
        made = list(self._made)
        while not made and await self._more():
            made = list(self._made)
        return made

    async def _more(self) -> bool:
        """Make more results ready; False at the end."""
        if self._saved is None and not await self._commit():
            return False
        saved = self._saved
        if saved is None:
            return False
        start, self._taken = self._taken, min(self._taken + _MADE_ON_LOOP, len(saved))
        self._made = iter(make_saved(saved, start, self._taken))
        if self._taken == len(saved):
            self._saved = None
        return True

    async def _commit(self) -> bool:
        source = self._source
        if source is None:
            return False
        session = self._session = Session(self._core, pin=self._pin, check=self._check, tally=self._tally)
        try:
            intake = Intake(session, budget=self._core.budget, first_index=self._index, limit=self._limit)
            if await intake.pull(source):
                self._source = None
            if intake.index == self._index and self._index:
                await self._withdraw()
                return False
            self._index = intake.index
            self._saved = await intake.finish()
            self._taken = 0
        except BaseException:
            self._source = None
            await self._withdraw()
            await end_generator(source)
            raise
        self._session = None
        return True

    async def _withdraw(self) -> None:
        session, self._session = self._session, None
        if session is not None:
            await session.withdraw()
