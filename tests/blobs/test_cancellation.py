"""Cancelled means acknowledged or invisible, and nothing stays behind: no thread, no descriptor, no file.

By anyio's scopes and by asyncio's own `task.cancel()`, `timeout` and `wait_for`, which pierce anyio's shield.
"""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any

import anyio
import pytest
from blake3 import blake3

import packhouse
from tests.cancelling import busy_threads, descriptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path


def key_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def files_in(folder: Path) -> set[str]:
    """Tell everything a save could leave behind, the store's own locks and settings left out."""
    found = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    return {path for path in found if not path.startswith(("writers/", "locks/", "store.json"))}


class Delays:
    """Ever longer delays: cancellation strikes from the beginning to past the end of an operation that takes `seconds`.

    Row 11 of the scorecard strikes at each suspension of the event loop instead.
    """

    def __init__(self, seconds: float, steps: int = 8) -> None:
        self._seconds = seconds
        self._steps = steps

    def __iter__(self) -> Iterator[float]:
        for step in range(self._steps):
            yield self._seconds * 1.3 * step / self._steps


def a_batch() -> list[bytes]:
    return [os.urandom(20_000) for _ in range(250)]


async def measure(operation: Callable[[], Awaitable[Any]]) -> float:
    began = time.monotonic()
    await operation()
    return time.monotonic() - began


async def test_a_cancelled_save_is_acknowledged_or_invisible(folder: Path, way: Any) -> None:
    before = descriptors()
    async with packhouse.open(folder) as store:
        seconds = await measure(lambda: store.save_blobs(a_batch()))
        outcomes = set()
        for delay in Delays(seconds):
            blobs, seen = a_batch(), files_in(folder)
            saved = await way(delay, lambda blobs=blobs: store.save_blobs(blobs))
            outcomes.add(saved is not None)
            assert busy_threads() == 0
            if saved is None:
                assert files_in(folder) == seen
            for blob in (blobs[0], blobs[-1]):
                assert await store.contains(key_of(blob)) == (saved is not None)
        assert False in outcomes
    assert descriptors() <= before
    async with packhouse.open(folder, mode="r") as store:
        assert (await store.verify()).unlisted_packs == 0


async def test_no_thread_reads_what_is_saved_when_the_cancelled_save_of_it_has_returned(
    folder: Path, tmp_path: Path, way: Any
) -> None:
    large = os.urandom(1 << 20) * 200  # takes several times as long as is waited
    (tmp_path / "large").write_bytes(large)
    async with packhouse.open(folder) as store:
        await store.save_blobs([b"warm"])
        for source in (large, tmp_path / "large"):
            assert await way(0.02, lambda source=source: store.save_blobs([source])) is None
            assert busy_threads() == 0


async def test_a_cancelled_small_save_is_acknowledged_or_invisible(folder: Path, way: Any) -> None:
    async with packhouse.open(folder) as store:
        seconds = await measure(lambda: store.save_blobs([os.urandom(1_000)]))
        for delay in Delays(max(seconds, 0.004), steps=15):
            blob = os.urandom(1_000)
            saved = await way(delay, lambda blob=blob: store.save_blobs([blob]))
            assert await store.contains(key_of(blob)) == (saved is not None)
            assert busy_threads() == 0


async def test_a_cancelled_stream_is_acknowledged_or_invisible(folder: Path, way: Any) -> None:
    data = os.urandom(30_000_000)

    async def pieces(first: bytes) -> Any:
        yield first
        for start in range(0, len(data), 1_000_000):
            await anyio.lowlevel.checkpoint()
            yield data[start : start + 1_000_000]

    async with packhouse.open(folder) as store:
        seconds = await measure(lambda: store.save_stream(pieces(b"")))
        for number, delay in enumerate(Delays(seconds, steps=4)):
            first = number.to_bytes(100, "big")
            seen = files_in(folder)
            saved = await way(delay, lambda first=first: store.save_stream(pieces(first)))
            assert await store.contains(key_of(first + data)) == (saved is not None)
            assert saved is not None or files_in(folder) == seen


async def test_a_cancelled_load_leaves_nothing_running(folder: Path, way: Any) -> None:
    before = descriptors()
    async with packhouse.open(folder) as store:
        saved = await store.save_blobs([*a_batch(), os.urandom(30_000_000)])

        async def load_all() -> int:
            return sum([len(blob.data) async for blob in store.load_blobs(saved)])

        buffer = bytearray(30_000_000)
        operations: list[Callable[[], Awaitable[Any]]] = [
            load_all,
            lambda: store.load(saved[-1]),
            lambda: store.load_range(saved[-1], 5, 25_000_000),
            lambda: store.load_into(saved[-1], buffer),
            store.verify,
        ]
        for operation in operations:
            seconds = await measure(operation)
            for delay in Delays(seconds, steps=4):
                await way(delay, operation)
                assert busy_threads() == 0
    assert descriptors() <= before


async def test_a_cancelled_tree_leaves_nothing_open_and_nothing_running(folder: Path, tmp_path: Path, way: Any) -> None:
    tree = tmp_path / "tree"
    for number in range(40):
        part = tree / f"part {number % 4}"
        part.mkdir(parents=True, exist_ok=True)
        (part / str(number)).write_bytes(os.urandom(60_000))
    before = descriptors()
    async with packhouse.open(folder) as store:
        saved = await store.save_tree(tree)
        seconds = await measure(lambda: store.restore_tree(saved.key, tmp_path / "whole"))
        # Few enough batches that none of them is followed by a merge, which goes on in a thread of its own.
        for delay in Delays(seconds, steps=6):
            (tree / "fresh").write_bytes(os.urandom(1_000))
            told = await way(delay, lambda: store.save_tree(tree))
            assert told is None or await store.contains(told)
            assert busy_threads() == 0
        for step, delay in enumerate(Delays(seconds, steps=20)):
            await way(delay, lambda step=step: store.restore_tree(saved.key, tmp_path / f"again {step}"))
            assert busy_threads() == 0
    assert descriptors() <= before
    async with packhouse.open(folder, mode="r") as store:
        assert (await store.verify()).unlisted_packs == 0


async def test_a_result_that_was_committed_is_returned_and_the_cancellation_is_not_swallowed(folder: Path) -> None:
    async with packhouse.open(folder) as store:
        await store.save_blobs([b"warm"])
        for number in range(60):
            saved: list[packhouse.SavedBlob] = []
            blob = str(number).encode()
            with anyio.move_on_after(0.0001 * number) as scope:
                saved = await store.save_blobs([blob])
                await anyio.sleep(10)
                pytest.fail("the cancellation was swallowed")
            assert scope.cancelled_caught
            assert await store.contains(key_of(blob)) == bool(saved)


@pytest.mark.parametrize("anyio_backend", [("asyncio", {})], ids=["asyncio"])
async def test_a_pending_cancel_is_not_taken_back(folder: Path, anyio_backend: object) -> None:
    seen = []

    async def save(store: packhouse.BlobStore, blob: bytes) -> None:
        task = asyncio.current_task()
        assert task is not None
        try:
            await store.save_blobs([blob])
        except asyncio.CancelledError:
            return
        seen.append(task.cancelling())

    async with packhouse.open(folder) as store:
        await store.save_blobs([b"warm"])
        met = 0
        for number in range(200):
            task = asyncio.ensure_future(save(store, str(number).encode()))
            await asyncio.sleep(0.00005 * (number % 100))
            pending = not task.done()
            task.cancel()
            count = len(seen)
            with anyio.CancelScope():
                await asyncio.wait([task])
            if pending and len(seen) > count:
                assert seen[-1] == 1
                met += 1
        assert met, "no cancellation met a commit on its way"


async def test_one_cancelled_save_does_not_touch_the_others(folder: Path) -> None:
    async with packhouse.open(folder) as store:
        results: dict[int, list[packhouse.SavedBlob]] = {}

        async def save(number: int) -> None:
            with anyio.CancelScope() as scope:
                if number % 3 == 0:
                    scope.deadline = anyio.current_time() + 0.0005 * number
                results[number] = await store.save_blobs([f"{number} {each}".encode() * 100 for each in range(20)])

        async with anyio.create_task_group() as tasks:
            for number in range(60):
                tasks.start_soon(save, number)
        for number in range(60):
            present = await store.contains(key_of(f"{number} 0".encode() * 100))
            assert present == (number in results)
            assert present or number % 3 == 0
        assert store.stats().batches >= 40


async def test_cancelling_around_the_store_closes_it(folder: Path) -> None:
    for delay in (0.0, 0.001, 0.005, 0.02, 0.05, 0.1):
        before = descriptors()
        with anyio.move_on_after(delay):
            async with packhouse.open(folder) as store:
                while True:
                    await store.save_blobs([os.urandom(20_000) for _ in range(100)])
        assert busy_threads() == 0
        assert descriptors() <= before
    if folder.exists():
        assert not list((folder / "writers").iterdir())
        async with packhouse.open(folder, mode="r") as store:
            report = await store.verify()
            assert report.findings == ()
            assert report.unlisted_packs == 0


async def test_closing_the_store_ends_what_other_tasks_do_with_it(folder: Path) -> None:
    outcomes: list[BaseException] = []

    async def save_on_and_on(store: packhouse.BlobStore, count: int) -> None:
        try:
            while True:
                await store.save_blobs([os.urandom(20_000) for _ in range(count)])
        except packhouse.StoreClosed as error:
            outcomes.append(error)

    async def load_on_and_on(store: packhouse.BlobStore, keys: list[packhouse.SavedBlob]) -> None:
        try:
            while True:
                async for _ in store.load_blobs(keys):
                    pass
        except packhouse.StoreClosed as error:
            outcomes.append(error)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, packhouse.open(folder) as store:
            saved = await store.save_blobs(a_batch())
            for count in (1, 1, 100, 100):
                tasks.start_soon(save_on_and_on, store, count)
                tasks.start_soon(load_on_and_on, store, saved)
            await anyio.sleep(0.2)
    assert len(outcomes) == 8
    assert not list((folder / "writers").iterdir())


async def test_a_load_over_async_keys_does_not_end_as_if_complete_when_the_store_is_closed(folder: Path) -> None:
    loaded: list[bytes] = []
    begun = anyio.Event()

    async def keys() -> AsyncIterator[packhouse.SavedBlob]:
        yield saved[0]
        await anyio.sleep_forever()

    async def load(store: packhouse.BlobStore) -> None:
        blobs = store.load_blobs(keys())
        loaded.append((await anext(blobs)).data)
        begun.set()
        with pytest.raises(packhouse.StoreClosed):
            await anext(blobs)
        loaded.append(b"closed")

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, packhouse.open(folder) as store:
            saved = await store.save_blobs([b"first", b"second"])
            tasks.start_soon(load, store)
            await begun.wait()
            unread = store.load_blobs(keys())
        with pytest.raises(packhouse.StoreClosed):
            [blob async for blob in unread]
    assert loaded == [b"first", b"closed"]


async def test_a_load_that_nobody_iterates_any_more_stops(folder: Path) -> None:
    async with packhouse.open(folder) as store:
        saved = await store.save_blobs(a_batch())
        async for _ in store.load_blobs(saved):
            break
        loading = store.load_blobs(saved)
        await anext(loading)
        await loading.aclose()
        assert [blob async for blob in loading] == []
