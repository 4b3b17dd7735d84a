"""The one way from the event loop to a thread and back, safe against every kind of cancellation.

A job runs in a worker thread on behalf of a task of the store; whoever wants its outcome waits on an event. So a
caller can be cancelled in any way (anyio's scopes, but also `task.cancel()` and `asyncio.timeout`, which pierce
anyio's shield) and nobody loses sight of the thread: the job's flag is raised, the engine sees it between two system
calls, and the caller's cancellation goes on only when the thread has ended. A read of a bucket that is under way is
given up at once; a write is waited for. A forked child has no such threads: there nothing is begun and nothing waited
for.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

import anyio
import anyio.to_thread
from anyio.lowlevel import RunVar, checkpoint_if_cancelled

from packhouse._engine import Cancel
from packhouse.errors import CommitUncertain, InvalidInput, PackhouseError, StoreClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from anyio.abc import TaskGroup

__all__ = ["Job", "Jobs", "finish_all", "wait_out"]

T = TypeVar("T")

_TELL_EVERY = 0.2
# Native calls use all cores inside: threads beyond these few only wait for each other.
_THREADS = 32
# Callers' sources take as long as they like, and may use the store themselves: nothing of ours waits for these threads.
_SOURCES = 32

_LOOP: RunVar[object] = RunVar("packhouse_loop")


async def wait_out(event: anyio.Event) -> BaseException | None:
    """Wait for the event through every cancellation; return the last cancellation that came meanwhile."""
    interruption: BaseException | None = None
    while not event.is_set():
        try:
            with anyio.CancelScope(shield=True):
                await event.wait()
        except anyio.get_cancelled_exc_class() as error:  # asyncio's own cancel() does not know the shield
            interruption = error
    return interruption


def _this_loop() -> object:
    """Return what stands for the event loop that runs here."""
    loop = _LOOP.get(None)
    if loop is None:
        _LOOP.set(loop := object())
    return loop


class Job(Generic[T]):
    """One call in a worker thread."""

    __slots__ = ("_began", "_call", "_error", "_jobs", "_on_end", "_value", "cancel", "ended", "finished")

    def __init__(
        self, jobs: Jobs, call: Callable[[], T], cancel: Cancel, on_end: Callable[[], None] | None = None
    ) -> None:
        self._jobs = jobs
        self._call: Callable[[], T] | None = call
        self._began = threading.Lock()
        self._on_end = on_end
        self._value: T | None = None
        self._error: BaseException | None = None
        self.cancel = cancel
        self.ended = anyio.Event()
        self.finished = False

    async def result(self) -> T:
        """Wait for the outcome; a cancellation of the waiter stops the job, waits for its thread and goes on.

        Raises:
            StoreClosed: the store was closed before the job was done, or the process forked.
            InvalidInput: another event loop waits for it (kind `other-loop`).
        """
        if not self.ended.is_set():
            self._jobs.check_loop()
            try:
                await self.ended.wait()
            except anyio.get_cancelled_exc_class():
                self.stop()
                await self.wait_out()
                raise
        if isinstance(self._error, StoreClosed):
            # Where whoever opened the store was cancelled, its tasks hear of it before its callers do.
            await checkpoint_if_cancelled()
        return self.outcome()

    def stop(self) -> None:
        """Raise its flag; if no thread has begun it, it ends at once."""
        self.cancel.cancel()
        if self.drop(PackhouseError("the operation was cancelled", kind="cancelled")):
            self.tell()

    async def follow(self, tell: Callable[[], None]) -> None:
        """Call `tell` a few times a second until it has ended.

        A cancellation, and what `tell` raises, goes on while the job runs: whoever started it stops it.
        """
        while not self.ended.is_set():
            with anyio.move_on_after(_TELL_EVERY):
                await self.ended.wait()
            tell()

    async def wait_out(self) -> BaseException | None:
        """Wait for its thread through every cancellation; return the last cancellation that came meanwhile."""
        return None if self._jobs.inherited else await wait_out(self.ended)

    def outcome(self) -> T:
        """Return, once, what an ended job returned, or raise what it raised."""
        error, self._error = self._error, None
        if error is None:
            value, self._value = self._value, None
            return cast("T", value)
        try:
            if isinstance(error, PackhouseError) and error.kind == "cancelled":
                raise StoreClosed("the store was closed during the operation") from error
            raise error
        finally:
            del error  # its traceback holds this frame

    def work(self) -> None:
        """Make the call, in whichever thread this is, unless somebody else has taken or dropped it."""
        if not self._began.acquire(blocking=False):
            return
        call, self._call = self._call, None
        try:
            if call is not None:
                self._value = self.cancel.during(call)
        except BaseException as error:  # noqa: BLE001 - it is the waiter's
            self._error = error
        finally:
            del call
            self.finished = True

    def drop(self, error: BaseException) -> bool:
        """Give the job up if no thread has begun it; return whether it was."""
        if not self._began.acquire(blocking=False):
            return False
        self._call = None
        self._error = error
        self.finished = True
        return True

    def tell(self) -> None:
        """Wake whoever waits for it."""
        self.ended.set()
        if self._on_end is not None:
            self._on_end()
            self._on_end = None


async def finish_all(jobs: Sequence[Job[Any]]) -> None:
    """Stop jobs and wait for their threads; outcomes are dropped, a cancellation of the waiter goes on afterwards."""
    interruption: BaseException | None = None
    for job in jobs:
        job.stop()
    for job in jobs:
        interruption = await job.wait_out() or interruption
    if interruption is not None:
        raise interruption


class Jobs:
    """The jobs of one open store, run by tasks of its task group."""

    def __init__(self, tasks: TaskGroup, url: str) -> None:
        self._tasks = tasks
        self._url = url
        self._pid = os.getpid()
        self._loop = _this_loop()
        self._running: set[Job[Any]] = set()
        self._threads = anyio.CapacityLimiter(_THREADS)
        self.sources = anyio.CapacityLimiter(_SOURCES)
        """The threads in which callers' sources are read."""
        self._closed = False
        self._idle = anyio.Event()

    @property
    def inherited(self) -> bool:
        """Whether this is a forked child of the process that opened the store."""
        return os.getpid() != self._pid

    @property
    def closed(self) -> bool:
        """Whether no more jobs are begun."""
        return self._closed

    def check(self) -> None:
        """Refuse in a forked child.

        Raises:
            StoreClosed: this is one.
        """
        if self.inherited:
            raise StoreClosed(f"{self._url} was opened before the process forked: open it anew", kind="forked")

    def check_loop(self) -> None:
        """Refuse in a forked child, and on another event loop than the one that opened the store.

        Raises:
            StoreClosed: this is a child.
            InvalidInput: it is another loop, whose waits this one's events would not end.
        """
        self.check()
        if _this_loop() is not self._loop:
            message = f"{self._url} was opened on another event loop: open another handle here, or use packhouse.sync"
            raise InvalidInput(message, kind="other-loop")

    def start(
        self,
        call: Callable[[], T],
        cancel: Cancel | None = None,
        *,
        on_end: Callable[[], None] | None = None,
        threads: anyio.CapacityLimiter | None = None,
        shield: bool = False,
    ) -> Job[T]:
        """Begin a call in a thread.

        Args:
            call: blocks, and looks at `cancel` if it takes long.
            cancel: raised when a waiter is cancelled or the store closed.
            on_end: called on the loop when the job has ended.
            threads: a limiter of its own, for what must not wait behind callers' slow sources.
            shield: begin it even when the task that opened the store is cancelled: for what cleans up.

        Raises:
            StoreClosed: the store is closed, or this is a forked child.
            InvalidInput: another event loop has opened it.
        """
        self.check_loop()
        if self._closed:
            raise StoreClosed("the store is closed")
        return self._begin(Job(self, call, cancel or Cancel(), on_end), threads or self._threads, shield)

    async def call(self, call: Callable[[], T], cancel: Cancel | None = None) -> T:
        """Make one call in a thread and wait for its outcome."""
        return await self.start(call, cancel).result()

    async def call_decided(
        self,
        call: Callable[[], T],
        cancel: Cancel,
        undone: Callable[[T], bool],
        *,
        threads: anyio.CapacityLimiter | None = None,
    ) -> T:
        """Make one call whose effect others may see: whoever cancels it is answered when the effect is known.

        Args:
            call: looks at `cancel`.
            cancel: raised when the waiter is cancelled or the store closed; a call that no thread has begun is dropped.
            undone: whether what the call returned says that it had no effect: then the cancellation goes on.
            threads: as `start` has it.
        """
        job = self.start(call, cancel, threads=threads)
        try:
            await job.ended.wait()
        except anyio.get_cancelled_exc_class():
            job.stop()
            await job.wait_out()
            try:
                value = job.outcome()
            except PackhouseError as error:
                if isinstance(error, CommitUncertain):
                    raise
                value = None
            if value is None or undone(value):
                raise
            return value
        return job.outcome()

    def spawn(self, work: Callable[[], Any]) -> None:
        """Run an async function beside the store, until the store is closed at the latest."""
        self.check_loop()
        if self._closed:
            raise StoreClosed("the store is closed")
        self._tasks.start_soon(work)

    async def close(self, last: Callable[[], None]) -> BaseException | None:
        """Begin no more jobs, stop the running ones, wait for them, then make the last call.

        Returns:
            A cancellation that came meanwhile.
        """
        self._closed = True
        for job in self._running:
            job.cancel.cancel()
        interruption = await wait_out(self._idle) if self._running else None
        final = self._begin(Job(self, last, Cancel()), self._threads, shield=True)
        interruption = await wait_out(final.ended) or interruption
        final.outcome()
        return interruption

    def _begin(self, job: Job[T], threads: anyio.CapacityLimiter, shield: bool) -> Job[T]:
        self._running.add(job)
        self._tasks.start_soon(self._run, job, threads, shield)
        return job

    async def _run(self, job: Job[Any], threads: anyio.CapacityLimiter, shield: bool) -> None:
        try:
            with anyio.CancelScope(shield=shield):
                await anyio.to_thread.run_sync(job.work, limiter=threads)
        except anyio.get_cancelled_exc_class():
            job.drop(StoreClosed("the store was closed before the operation began"))
            while not job.finished:
                try:
                    with anyio.CancelScope(shield=True):
                        await anyio.sleep(0.002)
                except anyio.get_cancelled_exc_class():  # see wait_out
                    continue
            raise
        except BaseException as error:  # noqa: BLE001 - no thread could be started: the waiter is told
            job.drop(error)
        finally:
            job.tell()
            self._running.discard(job)
            if self._closed and not self._running:
                self._idle.set()
