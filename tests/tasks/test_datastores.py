"""What packhouse promises of its datastores beyond Metaflow: order of writing, copies, listings, async, memory."""

from __future__ import annotations

import errno
import json
import os
import random
import resource
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest

import packhouse
from packhouse.errors import BlobNotFound, InvalidInput, NameNotFound, StorageError
from packhouse.names import Document, Names
from packhouse.tasks import FlowDataStore, MetadataCache
from packhouse.tasks.layout import TaskId, part, unpart
from tests.tasks.writing import written


@contextmanager
def no_more_descriptors() -> Iterator[None]:
    """Let the process have as many open as it may, so that nothing more can be opened."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, 512), hard))
    with ExitStack() as taken:
        with suppress(OSError):
            while True:
                taken.callback(os.close, os.open(os.devnull, os.O_RDONLY))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_artifacts_come_back_on_every_loop(flow: FlowDataStore) -> None:
    values = {
        "n": 1,
        "text": "x",
        "big": np.arange(500_000.0),
        "nested": {"a": np.ones(200_000), "t": (1,)},
        "none": None,
    }
    await written(flow, values)
    task = await flow.get_task_datastore("1", "step", "1")
    loaded = {name: value async for name, value in task.load_artifacts(values)}
    assert loaded.keys() == values.keys()
    assert (loaded["n"], loaded["text"], loaded["none"]) == (1, "x", None)
    np.testing.assert_array_equal(loaded["big"], values["big"])
    np.testing.assert_array_equal(loaded["nested"]["a"], np.ones(200_000))
    loaded["big"][0] = loaded["nested"]["a"][0] = 5
    assert (await task["big"])[0] == 0


async def test_artifacts_may_be_an_async_iterable(flow: FlowDataStore) -> None:
    async def pairs() -> AsyncIterator[tuple[str, Any]]:
        for number in range(3):
            await anyio.lowlevel.checkpoint()
            yield f"a{number}", (number,)

    task = await flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    await task.init_task()
    await task.save_artifacts(pairs())
    await task.done()
    assert await (await flow.get_task_datastore("1", "step", "1")).to_dict() == {"a0": (0,), "a1": (1,), "a2": (2,)}


class PowerCut(Exception):
    """The process ends here."""


STEPS = (
    "before the blobs",
    "after the blobs",
    "before the record",
    "after the record",
    "before the mark",
    "after the mark",
)


@pytest.mark.parametrize("step", STEPS)
async def test_no_crash_shows_a_done_task_without_all_its_artifacts(
    step: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    when, _, what = step.partition(" the ")
    save, put = packhouse.BlobStore.save_blobs, Names.put

    async def cut_save(self: Any, *args: Any, **kwargs: Any) -> Any:
        if what == "blobs" and when == "before":
            raise PowerCut
        result = await save(self, *args, **kwargs)
        if what == "blobs":
            raise PowerCut
        return result

    async def cut_put(self: Any, name: str, doc: object, **kwargs: Any) -> str:
        mine = {"record": "tasks/record/", "mark": ".done"}.get(what)
        if mine is not None and mine in name and when == "before":
            raise PowerCut
        result = await put(self, name, doc, **kwargs)
        if mine is not None and mine in name:
            raise PowerCut
        return result

    async with FlowDataStore("Flow", ds_root=folder) as flow:
        task = await flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
        await task.init_task()
        with monkeypatch.context() as patch:
            patch.setattr(packhouse.BlobStore, "save_blobs", cut_save)
            patch.setattr(Names, "put", cut_put)
            with pytest.raises(PowerCut):  # noqa: PT012 - either of the two is cut
                await task.save_artifacts([("a", b"x" * 100_000), ("b", 2)])
                await task.done()
    async with FlowDataStore("Flow", ds_root=folder) as flow:
        found = await flow.get_latest_task_datastores("1")
        assert len(found) == (step == "after the mark")
        for task in found:
            await task.ready()
            assert await task.to_dict() == {"a": b"x" * 100_000, "b": 2}
        if not found:
            with pytest.raises(NameNotFound):
                await flow.get_task_datastore("1", "step", "1")
        await written(flow, {"a": b"x" * 100_000, "b": 3}, attempt=1)
        assert await (await flow.get_task_datastore("1", "step", "1")).get("b") == 3


async def test_done_is_refused_while_a_blob_is_missing(flow: FlowDataStore, tmp_path: Path) -> None:
    async with FlowDataStore("Flow", ds_root=tmp_path / "other") as other:
        await written(other, {"a": b"only there", "big": np.arange(300_000.0)})
        origin = await other.get_task_datastore("1", "step", "1")
        clone = await flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
        await clone.init_task()
        await clone.clone(origin)
        with pytest.raises(BlobNotFound):
            await clone.done()
        assert await flow.get_latest_task_datastores("2") == []
        await clone.transfer_artifacts(origin)
        await clone.done()
    assert await (await flow.get_task_datastore("2", "step", "1")).get("a") == b"only there"


async def test_two_attempts_at_once_do_not_meet(flow: FlowDataStore) -> None:
    async with anyio.create_task_group() as tasks:
        for attempt in range(3):
            tasks.start_soon(partial(written, flow, {"a": attempt, "x": b"same"}, attempt=attempt))
    assert [await (await flow.get_task_datastore("1", "step", "1", attempt=n)).get("a") for n in range(3)] == [0, 1, 2]


async def test_clone_and_passdown_copy_nothing(flow: FlowDataStore) -> None:
    await written(flow, {"a": b"x" * 1_000_000, "b": 2})
    origin = await flow.get_task_datastore("1", "step", "1")
    before = flow.store.stats()
    clone = await flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
    await clone.init_task()
    await clone.passdown_partial(origin, ["a"])
    await clone.clone(origin)
    await clone.done()
    assert flow.store.stats() == before
    assert [each.added for each in (await flow.get_task_datastore("2", "step", "1")).artifacts()] == [0, 0]


async def test_a_damaged_artifact_is_named_with_its_key(folder: Path) -> None:
    async with FlowDataStore("Flow", ds_root=folder) as flow:
        await written(flow, {"good": 1, "hurt": np.random.default_rng(1).bytes(400_000)})
    for path in (folder / "packs").rglob("*"):
        if path.is_file():
            data = bytearray(path.read_bytes())
            for at in range(100, len(data) - 200, 50):
                data[at] ^= 0xFF
            path.write_bytes(data)
    async with FlowDataStore("Flow", ds_root=folder) as flow:
        task = await flow.get_task_datastore("1", "step", "1")
        (key,) = task.keys_for_artifacts(["hurt"])
        with pytest.raises(packhouse.CorruptBlob, match=f"'hurt'.*{key}"):
            await task["hurt"]


async def test_a_missing_blob_is_named_with_its_artifact(flow: FlowDataStore) -> None:
    known = {"objects": {"a": "0" * 64}, "info": {"a": {"size": 1, "type": "x", "encoding": "bytes"}}}
    task = await flow.get_task_datastore("1", "step", "1", attempt=0, data_metadata=known)
    with pytest.raises(BlobNotFound, match="artifact 'a'") as caught:
        await task["a"]
    assert caught.value.keys == ("0" * 64,)
    with pytest.raises(BlobNotFound):
        await task.get("a", 1)


async def many_tasks(flow: FlowDataStore) -> None:
    """A run of 400 tasks that are done."""
    tasks = [TaskId("Flow", "1", "step", str(number)) for number in range(400)]
    documents = [
        Document(task.file(name, 0), {"value": {"objects": {"n": f"{number:064}"}, "info": {}}})
        for number, task in enumerate(tasks)
        for name in ("attempt.json", "data.json", "DONE.lock")
    ]
    await flow.store.names.put_many(documents)


def counted_reads(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many documents each read asks for, from now on."""
    reads: list[int] = []
    many = Names.get_many

    async def counted(self: Names, names: Any) -> Any:
        names = list(names)
        reads.append(len(names))
        return await many(self, names)

    monkeypatch.setattr(Names, "get_many", counted)
    return reads


@pytest.mark.parametrize("order", ["listed", "reversed", "any"])
@pytest.mark.parametrize("at_once", [False, True])
async def test_the_records_of_a_listing_are_read_together_whoever_asks_first(
    flow: FlowDataStore, monkeypatch: pytest.MonkeyPatch, order: str, at_once: bool
) -> None:
    await many_tasks(flow)
    monkeypatch.setattr("packhouse.tasks.siblings._AT_ONCE", 20)
    found = await flow.get_latest_task_datastores("1")
    reads = counted_reads(monkeypatch)
    if order == "reversed":
        found.reverse()
    elif order == "any":
        random.Random(1).shuffle(found)
    if at_once:
        async with anyio.create_task_group() as tasks:
            for task in found:
                tasks.start_soon(task.ready)
    else:
        for task in found:
            await task.ready()
    # Tasks that are begun at once run in any order on trio.
    assert sum(reads) <= (800 if at_once or order == "any" else 400)
    assert [task.keys_for_artifacts(["n"]) for task in found] == [[f"{int(task.task_id):064}"] for task in found]


async def test_a_large_run_is_listed_without_reading_a_record(
    flow: FlowDataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    await many_tasks(flow)
    reads = counted_reads(monkeypatch)
    found = await flow.get_latest_task_datastores("1")
    assert [task.task_id for task in found] == [str(number) for number in range(400)]
    assert reads == []
    with pytest.raises(InvalidInput, match="ready"):
        _ = "n" in found[0]
    for task in found:
        await task.ready()
        assert list(task) == ["n"]
    assert reads == [200, 200]
    paths = [f"1/step/{number}" for number in (350, 2, 399)]
    assert [task.pathspec for task in await flow.get_latest_task_datastores(pathspecs=paths)] == paths
    many_paths = [f"1/step/{number}" for number in reversed(range(400))]
    reads.clear()
    assert [task.pathspec for task in await flow.get_latest_task_datastores(pathspecs=many_paths)] == many_paths
    assert reads == []


async def test_an_attempt_is_found_whatever_the_names_are(flow: FlowDataStore) -> None:
    names = ["1.2", "a b", "ü", "%", "..", "x.0.done", "%2f", "~"]
    for name in names:
        await written(flow, {"a": name}, name, run=name)
    for name in names:
        (task,) = await flow.get_latest_task_datastores(name)
        assert task.task_id == name
        await task.ready()
        assert await task.get("a") == name
        assert unpart(part(name)) == name


class Slow:
    """Takes its time to be pickled."""

    def __reduce__(self) -> Any:
        time.sleep(0.2)
        return Slow, ()


async def test_a_cancelled_save_records_nothing_and_the_task_goes_on(flow: FlowDataStore) -> None:
    task = await written(flow, {}, done=False)
    with anyio.move_on_after(0.05) as scope:
        await task.save_artifacts([("a", 1), ("slow", Slow()), ("b", 2)])
    assert scope.cancelled_caught
    assert task.artifacts() == []
    await task.save_artifacts([("c", 3)])
    await task.done()
    loaded = await flow.get_task_datastore("1", "step", "1")
    with anyio.move_on_after(0) as scope:
        await loaded["c"]
    assert scope.cancelled_caught
    assert await loaded["c"] == 3


async def test_a_record_too_large_for_a_document_is_kept_as_a_blob(
    flow: FlowDataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packhouse.tasks.files._LARGEST", 1000)
    values = {f"a{number}": number for number in range(50)}
    await written(flow, values)
    task = await flow.get_task_datastore("1", "step", "1")
    assert await task.to_dict() == values
    name = TaskId("Flow", "1", "step", "1").file("data.json", 0)
    assert list((await flow.store.names.get(name)).doc) == ["blob"]


async def test_metadata_too_large_for_a_document_is_kept(flow: FlowDataStore) -> None:
    task = await flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    await task.init_task()
    quotes = '"' * (9 << 20)  # each of them becomes two characters of JSON, and four in a text of JSON
    await task.save_metadata({"large": {"b": quotes, "a": 1}})
    await task.done()
    found = await (await flow.get_task_datastore("1", "step", "1")).load_metadata(["large"])
    assert list(found["large"].items()) == [("b", quotes), ("a", 1)]


async def test_metadata_of_every_depth_is_kept(flow: FlowDataStore) -> None:
    task = await flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
    await task.init_task()
    deep, values = [1], {}
    for depth in range(2, 260):
        deep = [deep]  # type: ignore[list-item]
        values[str(depth)] = deep
    await task.save_metadata(values)
    await task.done()
    assert await (await flow.get_task_datastore("1", "step", "1")).load_metadata(values) == values


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_many_artifacts_with_long_names_can_be_done(flow: FlowDataStore) -> None:
    names = [f"{number:0200}" for number in range(20_000)]
    await written(flow, dict.fromkeys(names, 1))
    task = await flow.get_task_datastore("1", "step", "1")
    assert list(task) == names
    assert await task[names[-1]] == 1


async def test_a_record_from_a_metadata_cache_is_whole(flow: FlowDataStore) -> None:
    kept: dict[Any, Any] = {}

    class Cache(MetadataCache):
        async def load_metadata(self, *ids: Any) -> Any:
            return json.loads(kept[ids]) if ids in kept else None

        def store_metadata(self, run: str, step: str, task: str, attempt: int, metadata: Any) -> None:
            kept[run, step, task, attempt] = json.dumps(metadata)

    await written(flow, {"a": b"x" * 100_000})
    flow.set_metadata_cache(Cache())
    first = await flow.get_task_datastore("1", "step", "1", attempt=0)
    second = await flow.get_task_datastore("1", "step", "1", attempt=0)
    assert len(kept) == 1
    assert second.artifacts() == first.artifacts()
    assert second.artifacts()[0].added > 0
    assert second._record.located("a").locator
    assert second._record.located("a") == first._record.located("a")


async def test_every_artifact_is_loaded_by_the_locator_in_its_record(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a locator spares a load is in tests/blobs/test_requests.py; here, that each load has one."""
    asked: list[Any] = []
    many, into = packhouse.BlobStore.load_blobs, packhouse.BlobStore.load_into

    def load_blobs(self: packhouse.BlobStore, keys: Any, **options: Any) -> Any:
        asked.extend(keys := list(keys))
        return many(self, keys, **options)

    async def load_into(self: packhouse.BlobStore, key: Any, *arguments: Any, **options: Any) -> Any:
        asked.append(key)
        return await into(self, key, *arguments, **options)

    values = {"small": b"x" * 3_000, "large": np.arange(500_000.0), "other": "y" * 2_000_000}
    async with FlowDataStore("Flow", ds_root=folder) as flow:
        origin = await written(flow, values)
        clone = await flow.get_task_datastore("2", "step", "1", attempt=0, mode="w")
        await clone.init_task()
        await clone.clone(origin)
        await clone.done()
    monkeypatch.setattr(packhouse.BlobStore, "load_blobs", load_blobs)
    monkeypatch.setattr(packhouse.BlobStore, "load_into", load_into)
    async with FlowDataStore("Flow", ds_root=folder) as flow:
        for run in ("1", "2"):
            task = await flow.get_task_datastore(run, "step", "1")
            assert len([name async for name, _ in task.load_artifacts(values)]) == 3
    assert len(asked) == 6
    assert all(key.locator for key in asked)


async def test_an_artifact_that_cannot_be_looked_for_is_named_and_so_is_its_task(folder: Path) -> None:
    async with FlowDataStore("Flow", ds_root=folder) as flow:
        await written(flow, {"small": (1, 2), "large": random.Random(1).randbytes(3 << 20)})
    for name in ("small", "large"):
        async with FlowDataStore("Flow", ds_root=folder) as flow:
            task = await flow.get_task_datastore("1", "step", "1")
            await task.ready()
            with no_more_descriptors(), pytest.raises(StorageError) as caught:
                assert [pair async for pair in task.load_artifacts([name])]
        assert caught.value.errno == errno.EMFILE
        assert str(caught.value).startswith(f"artifact {name!r} of Flow/1/step/1, ")
