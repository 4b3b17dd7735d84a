"""Saving without await: the caller's iterable runs in the caller's thread, everything else on the store's loop."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Self, TypeAlias

from packhouse.blobs.intake import Intake, iterate, owner_waits
from packhouse.blobs.saving import make_saved, outside, unpack
from packhouse.blobs.session import Session
from packhouse.blobs.sources import SyncBlobSource
from packhouse.errors import InvalidInput, StoreClosed

if TYPE_CHECKING:
    from types import TracebackType

    from packhouse._engine import Saved
    from packhouse.blobs.core import Core
    from packhouse.blobs.progress import Tally
    from packhouse.blobs.records import SavedBlob
    from packhouse.sync.portal import Portal

__all__ = ["Saving", "SyncBlobs", "save_all"]

SyncBlobs: TypeAlias = Iterable[SyncBlobSource]
"""What `save_blobs` takes: an iterable of blobs."""

_MADE_AT_ONCE = 256


class _Writer:
    """Batches of one call, and how they are saved."""

    def __init__(
        self, portal: Portal, core: Core, *, pin: bool, check: bool, tally: Tally, owner_waits: bool = False
    ) -> None:
        self._portal = portal
        self._core = core
        self._pin = pin
        self._check = check
        self._tally = tally
        self._owner_waits = owner_waits
        self._index = 0
        self.ended = False

    def save(self, blobs: Iterator[Any], limit: int | None) -> Saved | None:
        """Save one batch, of about `limit` bytes if there is a limit; None when there was nothing left."""
        session = self._portal.call(self._begin)
        try:
            intake = Intake(
                session,
                budget=self._core.budget,
                first_index=self._index,
                allow_async=False,
                owner_waits=self._owner_waits,
                limit=limit,
            )
            self._take(blobs, intake)
            if intake.index == self._index and self._index:
                self._portal.call(session.withdraw)
                return None
            self._index = intake.index
            return self._portal.call(intake.finish)
        except BaseException:
            with suppress(StoreClosed):  # then it is withdrawn already
                self._portal.call(session.withdraw)
            raise

    def unpack(self, saved: Saved) -> list[SavedBlob]:
        """Make the results of a batch."""
        return self._portal.call(unpack, self._core, saved)

    def _take(self, blobs: Iterator[Any], intake: Intake) -> None:
        for wanted in intake.taking(blobs):
            if wanted:
                self._portal.call(intake.act)
        self.ended = intake.ended

    async def _begin(self) -> Session:
        return Session(self._core, pin=self._pin, check=self._check, tally=self._tally)


def save_all(portal: Portal, core: Core, blobs: SyncBlobs, *, pin: bool, check: bool, tally: Tally) -> list[SavedBlob]:
    """Save all blobs in one batch and return what became of each."""
    writer = _Writer(portal, core, pin=pin, check=check, tally=tally, owner_waits=owner_waits(blobs))
    saved = writer.save(_iterate(blobs), None)
    return writer.unpack(saved) if saved is not None else []


class Saving(Iterator["SavedBlob"]):
    """Saves while it is iterated; yields only what is committed. As `packhouse.Saving`."""

    def __init__(
        self,
        portal: Portal,
        core: Core,
        blobs: SyncBlobs,
        *,
        commit_every: int | None,
        pin: bool,
        check: bool,
        tally: Tally,
    ) -> None:
        if commit_every is not None and commit_every <= 0:
            raise InvalidInput(f"commit_every is a number of bytes, at least 1, not {commit_every}", kind="option")
        self._writer = _Writer(portal, core, pin=pin, check=check, tally=tally)
        self._blobs = blobs
        self._limit = commit_every
        self._source: Iterator[Any] | None = None
        self._inside = False
        self._saved: Saved | None = None
        self._taken = 0
        self._made: Iterator[SavedBlob] = iter(())

    def __enter__(self) -> Self:
        self._source = _iterate(self._blobs)
        self._inside = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._source = self._saved = None
        self._inside = False
        self._made = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> SavedBlob:
        if not self._inside:
            raise outside("with")
        while True:
            for blob in self._made:
                return blob
            if not self._more():
                raise StopIteration

    def _more(self) -> bool:
        saved = self._saved
        if saved is None:
            source = self._source
            if source is None or self._writer.ended:
                return False
            try:
                saved = self._saved = self._writer.save(source, self._limit)
            except BaseException:
                self._source = None
                raise
            self._taken = 0
            if saved is None:
                return False
        start, self._taken = self._taken, min(self._taken + _MADE_AT_ONCE, len(saved))
        self._made = iter(make_saved(saved, start, self._taken))
        if self._taken == len(saved):
            self._saved = None
        return True


def _iterate(blobs: SyncBlobs) -> Iterator[Any]:
    iterator = iterate(blobs)
    if not isinstance(iterator, Iterator):
        raise InvalidInput("blobs is an async iterable, which only the async API can read", kind="item-type")
    return iterator
