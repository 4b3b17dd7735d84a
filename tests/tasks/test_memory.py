"""What artifacts cost in memory while they are saved and loaded, and when a value is read that its owner may change."""

from __future__ import annotations

import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from packhouse.sync.tasks import FlowDataStore as SyncFlow
from packhouse.tasks import BlobCache, FlowDataStore
from tests.tasks.writing import written


async def test_memory_stays_bounded_while_a_large_array_is_saved_and_loaded(flow: FlowDataStore) -> None:
    array = np.frombuffer(np.random.default_rng(1).bytes(64 << 20), np.float32)
    tracemalloc.start()
    try:
        await written(flow, {"a": {"inside": array}})
        assert tracemalloc.get_traced_memory()[1] < 48 << 20
        tracemalloc.reset_peak()
        task = await flow.get_task_datastore("1", "step", "1")
        loaded = await task["a"]
        assert tracemalloc.get_traced_memory()[1] < 100 << 20
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(loaded["inside"], array)


FORMS: dict[str, Callable[[np.ndarray[Any, Any]], Any]] = {
    "npy": lambda array: array,
    "safetensors": lambda array: {"x": array},
    "pickle": lambda array: (array,),
}
COUNTS = (150_000, 1_100_000)  # numbers of 8 bytes: what is taken whole, and what is read in pieces


def reused(form: str) -> Iterator[tuple[str, Any]]:
    """Values that stand, one after the other, in the same memory."""
    for count in COUNTS:
        array = np.zeros(count)
        for number in range(3):
            array[:] = number
            yield f"{count}.{number}", FORMS[form](array)


def first_of(form: str, value: Any) -> tuple[float, float]:
    array = value if form == "npy" else value["x"] if form == "safetensors" else value[0]
    return float(array[0]), float(array[-1])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("source", ["sync", "async"])
async def test_a_generator_may_use_the_memory_of_a_value_again(flow: FlowDataStore, form: str, source: str) -> None:
    async def pairs() -> AsyncIterator[tuple[str, Any]]:
        for pair in reused(form):
            yield pair

    task = await flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    await task.init_task()
    await task.save_artifacts(reused(form) if source == "sync" else pairs())
    await task.done()
    for count in COUNTS:
        seen = [first_of(form, await task[f"{count}.{number}"]) for number in range(3)]
        assert seen == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("form", FORMS)
def test_a_generator_may_use_the_memory_of_a_value_again_without_await(tmp_path: Path, form: str) -> None:
    with SyncFlow("Flow", ds_root=tmp_path / "s") as flow:
        task = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
        task.init_task()
        task.save_artifacts(reused(form))
        task.done()
        for count in COUNTS:
            seen = [first_of(form, task[f"{count}.{number}"]) for number in range(3)]
            assert seen == [(0, 0), (1, 1), (2, 2)]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("source", ["sync", "async"])
async def test_large_values_are_not_held_beside_each_other(flow: FlowDataStore, source: str) -> None:
    def made() -> Iterator[tuple[str, Any]]:
        for number in range(20):
            yield f"a{number}", np.full(8 << 20, number, np.float32)

    async def pairs() -> AsyncIterator[tuple[str, Any]]:
        for number in range(20):
            yield f"a{number}", np.full(8 << 20, number, np.float32)

    task = await flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    await task.init_task()
    tracemalloc.start()
    try:
        await task.save_artifacts(made() if source == "sync" else pairs())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 80 << 20, "one value of 32 MiB, and the pieces that are read of it"


LARGE = 40 << 20  # more than half of the budget: not fetched ahead beside another


class Copies(BlobCache):
    """A cache that reads what it has anew whenever it is asked."""

    def load_key(self, key: str) -> bytes:
        return bytes(LARGE)

    def store_key(self, key: str, blob: bytes) -> None:
        """Keep nothing."""


def large_bytes() -> Iterator[tuple[str, bytes]]:
    for number in range(3):
        yield str(number), bytes([number]) * LARGE


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("cache", [None, Copies()], ids=["stored", "cached"])
async def test_large_bytes_that_are_let_go_are_not_held_beside_the_next(
    flow: FlowDataStore, cache: BlobCache | None
) -> None:
    task = await flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    await task.save_artifacts(large_bytes())
    flow.ca_store.set_blob_cache(cache)
    tracemalloc.start()
    try:
        async for _, value in task.load_artifacts(["0", "1", "2"]):
            assert len(value) == LARGE
            del value
        async for _, blob in flow.load_data(key for _, key in task.items()):
            del blob
        assert tracemalloc.get_traced_memory()[1] < 1.5 * LARGE
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("cache", [None, Copies()], ids=["stored", "cached"])
def test_large_bytes_that_are_let_go_are_not_held_beside_the_next_without_await(
    tmp_path: Path, cache: BlobCache | None
) -> None:
    with SyncFlow("Flow", ds_root=tmp_path / "s") as flow:
        task = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
        task.save_artifacts(large_bytes())
        flow.ca_store.set_blob_cache(cache)
        tracemalloc.start()
        try:
            for _, value in task.load_artifacts(["0", "1", "2"]):
                assert len(value) == LARGE
                del value
            for row in flow.load_data(key for _, key in task.items()):
                assert len(row[1]) == LARGE
                del row
            assert tracemalloc.get_traced_memory()[1] < 1.5 * LARGE
        finally:
            tracemalloc.stop()


def test_the_sync_facade_serialises_in_the_callers_thread(tmp_path: Path) -> None:
    threads: list[threading.Thread] = []

    def pairs() -> Iterator[tuple[str, int]]:
        threads.append(threading.current_thread())
        yield "a", 1

    with SyncFlow("Flow", ds_root=tmp_path / "s") as flow:
        task = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
        task.init_task()
        task.save_artifacts(pairs())
        task.done()
        assert flow.get_task_datastore("1", "step", "1")["a"] == 1
    assert threads == [threading.current_thread()]


def test_what_the_sync_facade_is_handed_may_ask_the_store_itself(tmp_path: Path) -> None:
    with SyncFlow("Flow", ds_root=tmp_path / "s") as flow, SyncFlow("Flow", ds_root=tmp_path / "other") as other:
        task = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
        task.init_task()
        task.save_artifacts([("a", 1)])
        task.save_metadata({"m": 1})
        task.done()

        def asking(item: str) -> Iterator[str]:
            if flow.get_task_datastore("1", "step", "1")["a"] == 1:
                yield item

        [found] = flow.get_latest_task_datastores(pathspecs=asking("1/step/1"))
        assert len(flow.get_latest_task_datastores("1", steps=asking("step"))) == 1
        assert found.has_metadata(asking("m")) == {"m": True}
        assert [name for name, _ in found.get_artifact_sizes(asking("a"))] == ["a"]
        copy = other.get_task_datastore("1", "step", "1", attempt=0, mode="w")
        copy.transfer_artifacts(found, names=asking("a"))
