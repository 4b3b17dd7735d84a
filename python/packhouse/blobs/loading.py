"""Loading: keys are located and fetched in groups, ahead of the consumer, under the byte budget."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NoReturn, Self, TypeAlias, cast

import anyio
from anyio.lowlevel import checkpoint

from packhouse._engine import Cancel, Located
from packhouse.blobs.jobs import finish_all
from packhouse.blobs.keys import Bell, key_source
from packhouse.blobs.records import KeyLike, LoadedBlob
from packhouse.errors import BlobNotFound, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packhouse.blobs.core import Core
    from packhouse.blobs.jobs import Job
    from packhouse.blobs.keys import FedKeys, Keys
    from packhouse.blobs.progress import Tally

__all__ = ["KeysToLoad", "LoadedBlobs", "Missing"]

KeysToLoad: TypeAlias = Iterable[KeyLike] | AsyncIterable[KeyLike]
"""What `load_blobs` takes: an iterable, sync or async, of keys, alone or with their locators."""
Missing: TypeAlias = Literal["raise", "skip"]
"""What to do with a key that no blob has."""

_LOCATED_AT_ONCE = 2048
_GROUP_BYTES = 8 << 20
_SLICE_SECONDS = 0.002

# What the class's own constructor does, without a Python frame for each blob.
_make = cast("Callable[[tuple[str, Any]], LoadedBlob]", partial(tuple.__new__, LoadedBlob))


class _Plan(NamedTuple):
    """Consecutive blobs that are fetched together."""

    keys: list[str]
    located: Located
    start: int
    size: int


class _Group(NamedTuple):
    """What came of a plan: blobs, and where one could not be read, why."""

    blobs: Iterable[LoadedBlob | BaseException]
    size: int


class LoadedBlobs(AsyncIterator[LoadedBlob]):
    """The blobs of an iterable of keys, as they are ready or in the keys' order.

    Iterate it to the end, or close it with `aclose` (or `contextlib.aclosing`); one that is only dropped stops
    fetching, too.
    """

    def __init__(
        self, core: Core, keys: KeysToLoad | FedKeys, *, ordered: bool, missing: Missing, tally: Tally
    ) -> None:
        if missing not in ("raise", "skip"):
            raise InvalidInput(f"missing is 'raise' or 'skip', not {missing!r}", kind="option")
        self._core = core
        self._bell = Bell()
        self._keys: Keys = key_source(keys, core.jobs, self._bell)
        self._ordered = ordered
        self._skip = missing == "skip"
        self._tally = tally
        self._cancel = Cancel()
        self._locating: tuple[list[str], Job[Located]] | None = None
        self._plans: deque[_Plan | Exception] = deque()
        self._fetching: deque[tuple[_Plan, Job[list[bytes | Exception | None]]]] = deque()
        self._held = 0  # bytes that are being fetched, or were and are not all handed out
        self._handing_out = 0  # as many of them belong to the group that is being handed out
        self._ready: deque[_Group] = deque()
        self._handed_out: Iterator[LoadedBlob | BaseException] = iter(())
        self._pause = time.monotonic() + _SLICE_SECONDS
        self._closed = False

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> LoadedBlob:
        if time.monotonic() >= self._pause:
            await self._rest()
        while True:
            for blob in self._handed_out:
                return blob if isinstance(blob, LoadedBlob) else self._fail(blob)
            if not await self._refill():
                raise StopAsyncIteration

    async def next_many(self) -> list[LoadedBlob]:
        """Return all that is ready, at least one blob; an empty list at the end."""
        many: list[LoadedBlob] = []
        while not many:
            for blob in self._handed_out:
                if not isinstance(blob, LoadedBlob):
                    if not many:
                        self._fail(blob)
                    self._handed_out = iter((blob,))
                    break
                many.append(blob)
            if not many and not await self._refill():
                break
        return many

    async def aclose(self) -> None:
        """Stop fetching and wait until no thread works on it any more."""
        await finish_all(self._stop())

    def __del__(self) -> None:
        if not getattr(self, "_closed", True):
            self._stop()

    def _fail(self, error: BaseException) -> NoReturn:
        self._stop()
        raise error

    async def _rest(self) -> None:
        try:
            await checkpoint()
        except anyio.get_cancelled_exc_class():
            await self.aclose()
            raise
        self._pause = time.monotonic() + _SLICE_SECONDS

    async def _refill(self) -> bool:
        """All that was ready is handed out: wait for the next group; False at the end."""
        self._core.jobs.check_loop()
        self._held -= self._handing_out
        self._handing_out = 0
        while True:
            self._bell.rearm()
            self._advance()
            if self._ready:
                blobs, self._handing_out = self._ready.popleft()
                self._handed_out = iter(blobs)
                return True
            if self._idle():
                self._closed = self._closed or self._keys.ended
                return False
            try:
                await self._bell.wait()
            except anyio.get_cancelled_exc_class():
                await self.aclose()
                raise

    def _idle(self) -> bool:
        """Whether nothing is on its way, and nothing can be begun."""
        busy = self._locating is not None or self._plans or self._fetching or self._ready
        return self._closed or (not busy and (self._keys.ended or self._keys.starved))

    def _advance(self) -> None:
        """Take what has ended, begin what may begin. Never waits."""
        if self._closed:
            return
        try:
            self._take_located()
            self._take_fetched()
            self._begin_fetches()
            if self._locating is None and sum(isinstance(plan, _Plan) for plan in self._plans) < self._core.fetches:
                self._begin_locating()
        except BaseException as error:  # noqa: BLE001 - raised where the consumer stands
            self._ready.append(_Group([error], 0))

    def _begin_locating(self) -> None:
        try:
            pairs = self._keys.take(_LOCATED_AT_ONCE)
        except Exception as error:  # noqa: BLE001 - raised behind the blobs of the keys before
            self._keys.close()
            self._plans.append(error)
            self._begin_fetches()
            return
        if pairs:
            engine, cancel = self._core.engine, self._cancel
            job = self._core.jobs.start(lambda: engine.locate(pairs, cancel), cancel, on_end=self._bell.ring)
            self._locating = [key for key, _ in pairs], job

    def _take_located(self) -> None:
        if self._locating is None or not self._locating[1].ended.is_set():
            return
        (keys, job), self._locating = self._locating, None
        located = job.outcome()
        sizes = located.sizes()
        lost = tuple(key for key, size in zip(keys, sizes, strict=True) if size is None)
        limit = max(1, min(_GROUP_BYTES, self._core.budget // 4))
        start = held = 0
        for index, size in enumerate(sizes):
            if size is None and not self._skip:
                self._plan(keys, located, start, index, held)
                self._plans.append(_not_found(keys[index], lost))
                return
            if held and held + (size or 0) > limit:
                self._plan(keys, located, start, index, held)
                start, held = index, 0
            held += size or 0
        self._plan(keys, located, start, len(keys), held)

    def _plan(self, keys: list[str], located: Located, start: int, stop: int, size: int) -> None:
        if stop > start:
            self._plans.append(_Plan(keys[start:stop], located, start, size))

    def _begin_fetches(self) -> None:
        while self._plans:
            plan = self._plans[0]
            if isinstance(plan, Exception):
                if not self._fetching:
                    self._ready.append(_Group([plan], 0))
                    self._plans.clear()
                return
            if len(self._fetching) >= self._core.fetches:
                return
            if self._held and self._held + plan.size > self._core.budget:
                return
            self._plans.popleft()
            self._held += plan.size
            self._fetching.append((plan, self._fetch(plan)))

    def _fetch(self, plan: _Plan) -> Job[list[bytes | Exception | None]]:
        engine, cancel = self._core.engine, self._cancel
        room = plan.located.room(plan.start, plan.start + len(plan.keys))
        return self._core.jobs.start(lambda: engine.fetch(room, cancel), cancel, on_end=self._bell.ring)

    def _take_fetched(self) -> None:
        while self._fetching:
            at = 0
            if not self._ordered:
                at = next((i for i, (_, job) in enumerate(self._fetching) if job.ended.is_set()), 0)
            plan, job = self._fetching[at]
            if not job.ended.is_set():
                return
            del self._fetching[at]
            pairs = zip(plan.keys, outcome := job.outcome(), strict=True)
            if set(map(type, outcome)) == {bytes}:
                # One by one as they are handed out: a thousand new tuples at once set off a collection of garbage.
                self._ready.append(_Group((_make(pair) for pair in pairs), plan.size))
                self._tally.add(len(outcome), plan.size)
                continue
            outcomes = (self._outcome(key, data) for key, data in pairs)
            blobs = [blob for blob in outcomes if blob is not None]
            self._ready.append(_Group(blobs, plan.size))
            self._tally.add(len(blobs), sum(len(blob.data) for blob in blobs if isinstance(blob, LoadedBlob)))

    def _outcome(self, key: str, data: bytes | Exception | None) -> LoadedBlob | Exception | None:
        """Tell what came of one key; None where it is skipped: a locator is believed until its bytes are read."""
        if isinstance(data, bytes):
            return LoadedBlob(key, data)
        if isinstance(data, BlobNotFound):
            data.keys = (key,)
            return None if self._skip else data
        return data

    def _stop(self) -> list[Job[Any]]:
        """Ask every job to stop, drop what is ready; return the jobs that still run."""
        self._closed = True
        self._cancel.cancel()
        self._keys.close()
        jobs: list[Job[Any]] = [job for _, job in self._fetching]
        if self._locating is not None:
            jobs.append(self._locating[1])
        self._locating = None
        self._plans.clear()
        self._fetching.clear()
        self._ready.clear()
        self._handed_out = iter(())
        return jobs


def _not_found(key: str, missing: tuple[str, ...]) -> BlobNotFound:
    more = f" (and {len(missing) - 1} more of those asked for)" if len(missing) > 1 else ""
    error = BlobNotFound(f"load: no blob has the key {key}{more}")
    error.keys = missing
    return error
