"""Group commit: all batches that are ready while one commit is on its way share the next.

The committer is a task of the store; callers only wait. Until the commit of a batch is issued a cancelled caller takes
it back. From then on the caller waits for the outcome, whatever cancels it: a batch that became visible returns its
result (the cancellation is not undone on the caller's behalf), one that did not raises the cancellation.

Commits add small segments to the index. When there are too many, the committer has them merged beside the next commits.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from packhouse._engine import Cancel
from packhouse.blobs.jobs import Jobs, wait_out
from packhouse.errors import CommitUncertain, PackhouseError, StoreClosed

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from packhouse._engine import Batch, Saved, Store
    from packhouse.blobs.jobs import Job

__all__ = ["Committer", "Request"]

_log = logging.getLogger("packhouse")


class Request:
    """A batch on its way to be committed.

    Args:
        prepare: makes the batch, or finishes it, in the committing thread; must be short.
        cancel: the caller's flag; seen until the engine is told to commit.
    """

    __slots__ = ("batch", "cancel", "done", "error", "prepare", "saved")

    def __init__(self, prepare: Callable[[], Batch], cancel: Cancel) -> None:
        self.prepare: Callable[[], Batch] | None = prepare
        self.cancel = cancel
        self.batch: Batch | None = None
        self.done = anyio.Event()
        self.saved: Saved | None = None
        self.error: BaseException | None = None

    def outcome(self) -> Saved:
        """Return the results, or raise why there are none."""
        error, self.error = self.error, None
        if error is not None:
            try:
                raise error
            finally:
                del error
        if self.saved is None:
            raise StoreClosed("the batch was withdrawn: the store was closed before it was committed")
        return self.saved


class Committer:
    """The one place of an open store where batches are committed."""

    def __init__(self, engine: Store, jobs: Jobs) -> None:
        self._engine = engine
        self._jobs = jobs
        self._queue: list[Request] = []
        self._preparing: list[Request] = []
        self._wake = anyio.Event()
        self._thread = anyio.CapacityLimiter(1)
        self._merging: Job[bool] | None = None
        self._closed = False
        self.commits = 0
        self.wait_seconds = 0.0

    async def commit(self, request: Request) -> Saved:
        """Have the batch committed and return its results.

        Raises:
            CommitUncertain: it was issued, and whether it is durable is not known.
            PackhouseError: why it was not committed; nothing of it is visible.
        """
        self._jobs.check_loop()
        if self._closed:
            raise StoreClosed("the store is closed")
        began = time.monotonic()
        self._queue.append(request)
        self._wake.set()
        try:
            await request.done.wait()
        except anyio.get_cancelled_exc_class():
            request.cancel.cancel()
            if request in self._queue:
                self._queue.remove(request)
                raise
            await wait_out(request.done)
            if request.saved is None and not isinstance(request.error, CommitUncertain):
                raise
        finally:
            self.wait_seconds += time.monotonic() - began
        if request.saved is None and request.error is None:
            # Withdrawn: where whoever opened the store was cancelled, its tasks hear of it before its callers do.
            await checkpoint_if_cancelled()
        return request.outcome()

    async def run(self) -> None:
        """Commit what is queued until the store is closed."""
        try:
            while not self._closed:
                if not self._queue:
                    self._wake = anyio.Event()
                    await self._wake.wait()
                    continue
                await self._commit_queued()
        finally:
            self._closed = True
            _withdraw(self._queue)
            self._queue.clear()

    def close(self) -> None:
        """Withdraw what is queued and what is being prepared; what was issued is finished by `run`."""
        self._closed = True
        for request in self._preparing:
            request.cancel.cancel()
        self._wake.set()

    async def _commit_queued(self) -> None:
        requests, self._queue = self._queue, []
        self._preparing = requests
        try:
            job = self._jobs.start(lambda: _commit_all(self._engine, requests), threads=self._thread)
        except StoreClosed:
            _withdraw(requests)
            return
        self.commits += 1
        interruption = await job.wait_out()
        self._preparing = []
        try:
            if job.outcome():
                self._merge()
        except Exception as error:  # noqa: BLE001 - it goes to every caller that has no outcome of its own
            for request in requests:
                if request.saved is None and request.error is None:
                    request.error = error
        finally:
            for request in requests:
                request.done.set()
        if interruption is not None:
            raise interruption

    def _merge(self) -> None:
        """Have segments merged in a thread of its own, one merge at a time; commits go on meanwhile."""
        if self._merging is not None or self._closed:
            return
        cancel = Cancel()
        self._merging = self._jobs.start(lambda: self._engine.maintain(cancel), cancel, on_end=self._merged)

    def _merged(self) -> None:
        job, self._merging = self._merging, None
        if job is None:
            return
        try:
            job.outcome()
        except StoreClosed:
            return
        except PackhouseError as error:
            # Nothing is lost: the inputs stay, look-ups take longer, the next commit has it tried again.
            _log.warning("merging the index failed: %s", error)


def _commit_all(engine: Store, requests: Sequence[Request]) -> bool:
    """Commit in one go, in a worker thread; each request gets its own outcome. Says whether the index wants merging."""
    ready: list[Request] = []
    for request in requests:
        try:
            if request.prepare is not None and not request.cancel.is_cancelled():
                request.batch = request.cancel.during(request.prepare)
        except BaseException as error:  # noqa: BLE001 - the one caller's error, not the others'
            if not (isinstance(error, PackhouseError) and error.kind == "cancelled"):
                request.error = error  # else it is withdrawn
        finally:
            request.prepare = None
        if request.batch is None:
            continue
        if request.cancel.is_cancelled():
            request.batch.withdraw()
            continue
        ready.append(request)
    if not ready:
        return False
    for request, outcome in zip(
        ready, engine.commit([request.batch for request in ready if request.batch]), strict=True
    ):
        if isinstance(outcome, Exception):
            request.error = outcome
        else:
            request.saved = outcome
    return engine.is_crowded()


def _withdraw(requests: Sequence[Request]) -> None:
    for request in requests:
        request.cancel.cancel()
        request.prepare = None
        request.done.set()
