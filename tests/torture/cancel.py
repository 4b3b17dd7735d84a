"""Row 11: cancellation at await points, all of them or a sample.

Acknowledged, invisible or `CommitUncertain`, and nothing stays behind.
"""

from __future__ import annotations

import asyncio
import itertools
import shutil
import threading
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel

from tests.torture.contract import Store, Subject, subject
from tests.torture.nest import JobFailed, Nest, Report
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder
from tests.torture.strikes import STYLES
from tests.torture.workload import Batch, batch, key_of, pieces

SEED = 11
GOLDEN = 0.6180339887
"""Multiples of it, modulo one, lie everywhere."""
WORKS = {"name": "names", "names": "names", "save mixed": "mixed", "stream": "stream"}
"""What is saved where it is not a batch of small blobs."""
NAMES = 12
"""More than are synced one by one."""
OPERATIONS = (
    "save small",
    "save mixed",
    "save async",
    "stream",
    "name",
    "names",
    "load",
    "read",
    "verify",
    "whole session",
)


def run(
    name: str,
    *,
    rounds: int,
    seed: int = SEED,
    operations: tuple[str, ...] = OPERATIONS,
    only: tuple[str, ...] = (),
) -> Outcome:
    """Every operation, every style, about `rounds` points shared out among them; 0 takes every point."""
    outcome = Outcome(11)
    pairs = [(backend, style) for backend, styles in STYLES.items() for style in styles if not only or style in only]
    share = max(1, rounds // (len(pairs) * len(operations))) if rounds else 0
    there = 0
    with outcome.timed(), Nest() as nest, scratch_folder() as folder:
        for number, ((backend, style), operation) in enumerate(itertools.product(pairs, operations)):
            if outcome.hopeless:
                break
            where = f"{operation}, {style} on {backend}"
            arguments = (name, str(folder / "store"), backend, style, operation, share, number)
            with nest.job("tests.torture.cancel:strike_all", *arguments) as job:
                try:
                    outcome.blame(where, job.result(60 + 5 * (share or 400)))
                except JobFailed as failure:
                    outcome.blame(f"{where}, after {job.lines[-1:]}", [str(failure)])
                struck = [line for line in job.lines if "trial" in line]
                outcome.rounds += len(struck)
                there += struck[0]["of"] if struck else 0
    outcome.notes.append("every one" if outcome.rounds == there else f"a sample of {there:,} points and moments")
    return outcome


def sample(count: int, most: int, number: int) -> list[int]:
    """Up to `most` of the points 1 … `count`, spread out; all with 0.

    The last is among them where there are several; where there is one it is another for each `number`, so that the
    combinations of operations and styles strike early, late and last points in turn.
    """
    if most == 0 or most >= count:
        return list(range(1, count + 1))
    shift = 1 - number * GOLDEN % 1
    chosen = {min(count, 1 + int((at + shift) * count / most)) for at in range(most)}
    return sorted(chosen | {count} if most > 1 else chosen)


def strike_all(
    report: Report, name: str, path: str, backend: str, style: str, operation: str, most: int, number: int
) -> list[str]:
    """Count the suspensions of one run, then cancel fresh runs at up to `most` of them."""
    kind = subject(name)
    wrong: list[str] = []
    found, suspensions, _ = _trial(kind, Path(path), backend, style, operation, 0)
    wrong += [f"not cancelled: {one}" for one in found]
    for at in sample(suspensions, most, number):
        report.line(trial=at, of=suspensions)
        found, _, what = _trial(kind, Path(path), backend, style, operation, at)
        wrong += [f"at {at} of {suspensions}, {what}: {one}" for one in found]
    return wrong


def _trial(kind: Subject, path: Path, backend: str, style: str, operation: str, at: int) -> tuple[list[str], int, str]:
    shutil.rmtree(path, ignore_errors=True)
    before = (_descriptors(), _threads())
    trial = Trial(kind, path, backend, style, operation, at)
    anyio.run(trial.run, backend=backend)
    wrong = trial.wrong
    if (left := _settled(_descriptors, before[0])) > before[0]:
        wrong.append(f"{left - before[0]} descriptors leaked")
    if (left := _settled(_threads, before[1])) > before[1]:
        wrong.append(f"{left - before[1]} threads leaked: {[thread.name for thread in threading.enumerate()]}")
    wrong += [f"left behind: {file}" for file in kind.leftovers(path)]
    wrong += anyio.run(trial.judge)
    return wrong, trial.suspensions, trial.outcome


def _on_asyncio() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def _threads() -> int:
    """Threads of the process but those that trio keeps idle for ten seconds, whoever used them."""
    kept = sum(thread.name.startswith("Trio thread") for thread in threading.enumerate())
    return len(list(Path("/proc/self/task").iterdir())) - kept


def _settled(count: Any, wanted: int) -> int:
    end = time.monotonic() + 1.0
    while (now := count()) > wanted and time.monotonic() < end:
        time.sleep(0.01)
    return int(now)


class Trial:
    """One operation on one store, cancelled once."""

    def __init__(self, kind: Subject, path: Path, backend: str, style: str, operation: str, at: int) -> None:
        self.kind, self.path, self.operation, self.at = kind, path, operation, at
        self.style = STYLES[backend][style]
        self.wrong: list[str] = []
        self.suspensions = 0
        self.outcome = "nothing"
        self.before = batch(SEED, 0, "mixed")
        self.work = batch(SEED, 1, WORKS.get(operation, "small"))
        self.after = b"saved after a cancellation"
        single = operation == "name"
        self.documents = [
            (self.work.name if single else f"many/{n}", self.work.doc) for n in range(1 if single else NAMES)
        ]

    async def run(self) -> None:
        """Open, save something, run the operation and strike it; the store must go on working."""
        async with self.kind.open(self.path) as store:
            await store.save_blobs(list(self.before.blobs))
            await self._struck(store)
            if self.outcome == "uncertain":
                return
            try:
                await store.save_blobs([self.after])
                if bytes(await store.load(key_of(self.after))) != self.after:
                    self.wrong.append("the next save reads back wrong")
            except self.kind.complaints.any as error:
                self.wrong.append(f"the next save failed, {type(error).__name__}: {error}")

    async def _struck(self, store: Store) -> None:
        try:
            _, self.suspensions = await self.style(lambda: self._recorded(store), self.at)
        except self.kind.complaints.any:
            pass  # recorded
        except (anyio.get_cancelled_exc_class(), TimeoutError):
            task = asyncio.current_task() if _on_asyncio() else None
            while task is not None and task.cancelling():
                task.uncancel()

    async def _recorded(self, store: Store) -> Any:
        """Run the operation and note what it told its caller: `wait_for` may lose a result that was returned."""
        self.outcome = "cancelled"
        try:
            result = await self._operation(store)
        except anyio.get_cancelled_exc_class():
            raise
        except self.kind.complaints.uncertain:
            self.outcome = "uncertain"
            raise
        except BaseException:
            self.outcome = "failed"
            self.wrong.append(traceback.format_exc(limit=-3))
            raise
        self.outcome = "returned"
        return result

    async def _operation(self, store: Store) -> Any:
        operation, work = self.operation, self.work
        if operation in ("save small", "save mixed"):
            return await store.save_blobs(list(work.blobs))
        if operation == "save async":
            return await store.save_blobs(_slowly(work))
        if operation == "stream":
            return await store.save_stream(pieces(work.blobs[0]))
        if operation == "name":
            return await store.names.put(work.name, work.doc)
        if operation == "names":
            return await self.kind.put_many(store, self.documents)
        others = {"load": self._load, "read": self._read, "verify": self._verify}
        return await others[operation](store) if operation in others else await self._session()

    async def _load(self, store: Store) -> None:
        found = [one async for one in store.load_blobs(self.before.keys)]
        if [bytes(one.data) for one in found] != list(self.before.blobs):
            self.wrong.append("wrong bytes loaded")

    async def _read(self, store: Store) -> None:
        longest = max(self.before.blobs, key=len)
        async with self.kind.open_read(store, key_of(longest)) as file:
            parts = []
            while part := await file.read(30_000):
                parts.append(bytes(part))
        if b"".join(parts) != longest:
            self.wrong.append("wrong bytes read")

    async def _verify(self, store: Store) -> None:
        self.wrong += await self.kind.verify(store)

    async def _session(self) -> None:
        async with self.kind.open(self.path) as store:
            await store.save_blobs(list(self.work.blobs))

    async def _judge_names(self, store: Store) -> list[str]:
        """A name has the new document or none; which of the two must fit what was said."""
        wrong = []
        for name, wanted in self.documents:
            try:
                doc = (await store.names.get(name)).doc
            except self.kind.complaints.no_name:
                doc = None
            if self.outcome == "returned" and doc != wanted:
                wrong.append(f"{name} was acknowledged but is not there")
            if self.outcome == "cancelled" and doc is not None:
                wrong.append(f"{name} was cancelled but is there")
        return wrong

    async def judge(self) -> list[str]:
        """Reopen and compare with what was said."""
        async with self.kind.open(self.path) as store:
            wrong = await _all_there(self.kind, store, self.before, "saved before")
            if self.operation in ("name", "names"):
                return wrong + await self._judge_names(store)
            if self.operation in ("load", "read", "verify"):
                return wrong
            there = [await store.contains(key) for key in self.work.keys]
            if self.outcome == "returned":
                wrong += await _all_there(self.kind, store, self.work, "acknowledged")
            elif any(there) and not all(there):
                wrong.append(f"visible in part: {sum(there)} of {len(there)}")
            elif any(there) and self.outcome == "cancelled" and self.operation != "whole session":
                wrong.append("cancelled but visible")
            return wrong


async def _all_there(kind: Subject, store: Store, work: Batch, what: str) -> list[str]:
    try:
        found = [bytes(one.data) async for one in store.load_blobs(work.keys)]
    except kind.complaints.any as error:
        return [f"{what} but lost, {type(error).__name__}: {error}"]
    return [] if found == list(work.blobs) else [f"{what} but wrong bytes"]


async def _slowly(work: Batch) -> AsyncIterator[bytes]:
    for number, blob in enumerate(work.blobs):
        if number % 3 == 0:
            await anyio.lowlevel.checkpoint()
        yield blob
