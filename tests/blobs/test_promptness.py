"""Whoever cancels native work is answered within 50 ms: the engine looks for the wish between two system calls."""

from __future__ import annotations

import asyncio
import itertools
import os
import statistics
import time
from typing import TYPE_CHECKING, Any

import pytest

import packhouse
from tests.torture.damage import flip
from tests.torture.places import scratch_folder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path

    Work = Callable[[packhouse.BlobStore], Awaitable[Any]]

MOMENTS = 7
WITHIN = 0.05
SLACK = 0.03
"""What a loop, a thread's end and the return of the memory may take besides."""

pytestmark = pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])


@pytest.fixture
def quick_folder() -> Iterator[Path]:
    """In memory: one sync of a disk takes longer than all that is measured here."""
    with scratch_folder() as folder:
        yield folder / "store"


async def _delays(folder: Path, work: Work) -> list[float]:
    """Cancel at moments from the work's beginning to its end: from the cancellation to the answer, in seconds."""
    delays = []
    async with packhouse.open(folder) as store:
        whole = 60.0
        for _ in range(2):
            undisturbed = work(store)
            began = time.perf_counter()
            await asyncio.gather(undisturbed, return_exceptions=True)
            # The first run of all may find damage and write it down.
            whole = min(whole, time.perf_counter() - began)
        for moment in range(1, MOMENTS + 1):
            task: asyncio.Future[Any] = asyncio.ensure_future(work(store))
            await asyncio.sleep(whole * moment / (MOMENTS + 1))
            began = time.perf_counter()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            # What was done or committed meanwhile is answered as if nobody had asked to stop.
            if task.cancelled():
                delays.append(time.perf_counter() - began)
    return delays


WORKS = ("save", "stream", "load", "load of a damaged blob", "range", "into", "verify")


async def _measure(folder: Path, size: int, what: str) -> list[float]:
    data = os.urandom(size)
    if what in ("save", "stream"):
        rounds = itertools.count()

        def prepare(store: packhouse.BlobStore) -> Awaitable[Any]:
            turned = next(rounds)
            unknown = data.translate(bytes((byte + turned) % 256 for byte in range(256)))
            if what == "save":
                return store.save_blobs([unknown])
            return store.save_stream(unknown[start : start + (1 << 20)] for start in range(0, size, 1 << 20))

        return await _delays(folder, prepare)
    async with packhouse.open(folder) as store:
        (saved,) = await store.save_blobs([data])
    if what == "load of a damaged blob":
        pack = max((folder / "packs").iterdir(), key=lambda file: file.stat().st_size)
        flip(pack, pack.stat().st_size * 8 - (8 << 20))
    buffer = bytearray(size if what == "into" else 0)
    works: dict[str, Work] = {
        "load": lambda store: store.load(saved.key),
        "load of a damaged blob": lambda store: store.load(saved.key),
        "range": lambda store: store.load_range(saved.key, 5, size - 5),
        "into": lambda store: store.load_into(saved.key, buffer),
        "verify": lambda store: store.verify(),
    }
    return await _delays(folder, works[what])


@pytest.mark.parametrize("what", WORKS)
async def test_a_cancelled_call_returns_long_before_its_work_would_end(quick_folder: Path, what: str) -> None:
    delays = await _measure(quick_folder, 64 << 20, what)
    assert delays, "nothing was cancelled"
    # Others use this machine, too: one late answer says nothing, the middle one does.
    assert statistics.median(delays) <= 2 * (WITHIN + SLACK), f"{what}: {delays}"


@pytest.mark.torture
@pytest.mark.parametrize("what", WORKS)
async def test_a_cancelled_call_returns_within_50_ms(quick_folder: Path, what: str) -> None:
    delays = await _measure(quick_folder, 512 << 20, what)
    assert len(delays) >= MOMENTS // 2, "too few were cancelled to tell"
    assert max(delays) <= WITHIN + SLACK, f"{what}: {delays}"
