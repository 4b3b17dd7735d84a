"""One batch on its way: groups go to the engine one by one while the next is gathered, then comes the commit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from packhouse._engine import Batch, Cancel, Saved
from packhouse.blobs.commits import Request
from packhouse.blobs.jobs import Job
from packhouse.blobs.sources import AsyncSource, Source
from packhouse.errors import InvalidInput, StoreClosed
from packhouse.files import PIECE, go_on

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from typing_extensions import Buffer

    from packhouse.blobs.core import Core
    from packhouse.blobs.progress import Tally

__all__ = ["Session", "Source"]

_TINY = 256 << 10


class Session:
    """A batch that is being filled. Ends with `commit` or `withdraw`.

    At most one group is with the engine, while the caller gathers the next.
    """

    def __init__(self, core: Core, *, pin: bool, check: bool, tally: Tally) -> None:
        self._core = core
        self._pin = pin
        self._check = check
        self._tally = tally
        self._cancel = Cancel()
        self._batch: Batch | None = None
        self._job: Job[Any] | None = None
        self._counts = (0, 0)
        self.streamed = 0
        self.watched = tally.wanted
        """Whether somebody is told of every group."""
        self._told = 0
        core.sessions.add(self)

    async def put(self, items: Sequence[Buffer | Source], size: int) -> None:
        """Wait for the group before, then send this one on its way; `size` is its bytes in memory."""
        await self.settle()
        self._start(lambda batch: self._carry(batch, items), (len(items), size), reads=not _in_memory(items))

    async def put_stream(self, source: AsyncSource) -> None:
        """Add one blob that the loop reads; its pieces go to the engine while the next is read."""
        try:
            await self._put_stream(source)
        finally:
            await source.aclose()

    async def _put_stream(self, source: AsyncSource) -> None:
        piece = await source.piece()
        following = await source.piece() if len(piece) >= PIECE else b""
        if not following:
            await self.settle()
            self.streamed += len(piece)
            await self.put([piece], 0)
            return
        await self.settle()
        slot = await self._do(Batch.begin_stream)
        while piece:
            await self.settle()
            self._start(_writing(slot, piece, self._cancel), (0, 0))
            self.streamed += len(piece)
            piece, following = following, await source.piece() if following else b""
        await self.settle()
        self._start(lambda batch: batch.end_stream(slot, self._cancel), (1, 0))

    async def settle(self) -> None:
        """Wait until nothing of it is with the engine."""
        job = self._job
        if job is None:
            return
        self._core.jobs.check_loop()
        if self._tally.wanted:
            await job.follow(self._tell)  # a cancellation goes on; `withdraw` waits for the job
        await job.result()
        self._job = None
        self._tally.add(*self._counts)
        self._tell()

    def _tell(self) -> None:
        told, self._told = self._told, self.streamed
        if self._told > told:
            self._tally.add(0, self._told - told)

    async def commit(self, items: Sequence[Buffer | Source], size: int) -> Saved:
        """Add the last group and have everything committed.

        A batch that is small and stands in memory takes one thread hop for all of it.
        """
        await self.settle()
        tiny = self._batch is None and size <= _TINY and _in_memory(items)
        if tiny:
            request = Request(lambda: self._filled(items), self._cancel)
            self._tally.add(len(items), size)  # a callback that raises does so while everything can be withdrawn
        else:
            if items or self._batch is None:
                await self.put(items, size)
                await self.settle()
            request = Request(self._made, self._cancel)
        saved = await self._core.committer.commit(request)
        self._core.sessions.discard(self)
        return saved

    async def withdraw(self) -> None:
        """Give the batch up: when this returns nothing of it is left, neither a thread nor a file.

        A cancellation that comes meanwhile goes on afterwards.
        """
        self._cancel.cancel()
        job, self._job = self._job, None
        interruption = None
        if job is not None:
            job.stop()
            interruption = await job.wait_out()
        try:
            job = self._core.jobs.start(self.drop, shield=True)
        except (StoreClosed, InvalidInput):  # the latter on another event loop, where nothing was begun
            self.drop()
        else:
            interruption = await job.wait_out() or interruption
            job.outcome()
        self._core.sessions.discard(self)
        if interruption is not None:
            raise interruption

    def drop(self) -> None:
        """Withdraw the engine's batch, in a thread; nothing to do once it is committed or withdrawn."""
        batch = self._batch
        if batch is not None:
            batch.withdraw()

    def _made(self) -> Batch:
        if self._batch is None:
            self._batch = self._core.engine.begin(self._pin, self._check)
        return self._batch

    def _filled(self, items: Sequence[Buffer | Source]) -> Batch:
        batch = self._made()
        self._carry(batch, items)
        return batch

    def _start(self, work: Callable[[Batch], Any], counts: tuple[int, int], *, reads: bool = False) -> None:
        """Begin what the next `settle` waits for; `reads` says that it reads callers' sources."""
        self._counts = counts
        jobs = self._core.jobs
        self._job = jobs.start(lambda: work(self._made()), self._cancel, threads=jobs.sources if reads else None)

    async def _do(self, work: Callable[[Batch], int]) -> int:
        return await self._core.jobs.call(lambda: work(self._made()), self._cancel)

    def _carry(self, batch: Batch, items: Sequence[Buffer | Source]) -> None:
        """Add items in order, in a worker thread: what stands in memory together, sources read to their ends."""
        if _in_memory(items):
            batch.add(cast("list[Buffer]", items), self._cancel)
            return
        ready: list[Buffer] = []
        held = 0
        for item in items:
            if isinstance(item, (bytes, memoryview)):
                ready.append(item)
                continue
            source = cast("Source", item)
            try:
                piece = self._read(source)
                following = self._read(source) if piece else b""
                if not following:
                    ready.append(piece)
                    held += len(piece)
                    self.streamed += len(piece)
                if following or held >= PIECE:
                    batch.add(ready, self._cancel)
                    ready, held = [], 0
                if following:
                    self._carry_stream(batch, source, piece, following)
            finally:
                source.close()
        if ready:
            batch.add(ready, self._cancel)

    def _carry_stream(self, batch: Batch, source: Source, piece: bytes, following: bytes) -> None:
        slot = batch.begin_stream()
        while piece:
            batch.write_stream(slot, piece, self._cancel)
            self.streamed += len(piece)
            piece, following = following, self._read(source) if following else b""
        batch.end_stream(slot, self._cancel)

    def _read(self, source: Source) -> bytes:
        go_on(self._cancel.is_cancelled)
        return source.piece(self._cancel.is_cancelled)


def _in_memory(items: Sequence[Buffer | Source]) -> bool:
    """Tell whether none of the items is a source that is to be read."""
    return set(map(type, items)) <= {bytes, memoryview}


def _writing(slot: int, piece: bytes, cancel: Cancel) -> Callable[[Batch], None]:
    return lambda batch: batch.write_stream(slot, piece, cancel)
