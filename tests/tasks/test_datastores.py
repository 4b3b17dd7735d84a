"""What packhouse promises of its datastores beyond Metaflow: order of writing, copies, listings, events, async."""

from __future__ import annotations

import threading
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import numpy as np
import pytest

import packhouse
from packhouse.errors import BlobNotFound, InvalidInput, NameNotFound
from packhouse.names import Document, Names
from packhouse.sync.tasks import FlowDataStore as SyncFlow
from packhouse.tasks import FlowDataStore, PackhouseStorage, TaskDataStore
from packhouse.tasks.layout import TaskId, part, unpart


@pytest.fixture
async def flow(store: packhouse.BlobStore) -> AsyncIterator[FlowDataStore]:
    """The tasks of a flow in a store that is open."""
    async with FlowDataStore("Flow", ds_root=store) as opened:
        yield opened


async def written(
    flow: FlowDataStore,
    artifacts: dict[str, Any],
    task: str = "1",
    *,
    attempt: int = 0,
    run: str = "1",
    done: bool = True,
) -> TaskDataStore:
    opened: TaskDataStore = await flow.get_task_datastore(run, "step", task, attempt=attempt, mode="w")
    await opened.init_task()
    await opened.save_artifacts(artifacts.items())
    if done:
        await opened.done()
    return opened


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
    after = flow.store.stats()
    assert {name: getattr(after, name) for name in dir(after) if "read" in name or "written" in name} == {
        name: getattr(before, name) for name in dir(before) if "read" in name or "written" in name
    }
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


async def test_a_large_run_is_listed_without_reading_a_record(
    flow: FlowDataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    tasks = [TaskId("Flow", "1", "step", str(number)) for number in range(400)]
    record = {"value": {"objects": {"n": "0" * 64}, "info": {}}}
    documents = [
        Document(task.file(name, 0), record if name == "data.json" else {"value": ""})
        for task in tasks
        for name in ("attempt.json", "data.json", "DONE.lock")
    ]
    await flow.store.names.put_many(documents)
    reads: list[int] = []
    many = Names.get_many

    async def counted(self: Names, names: Any) -> Any:
        names = list(names)
        reads.append(len(names))
        return await many(self, names)

    monkeypatch.setattr(Names, "get_many", counted)
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


async def test_events_are_told_and_may_be_refused(flow: FlowDataStore) -> None:
    told: list[dict[str, Any]] = []
    gauges: list[tuple[str, float]] = []

    class Logger:
        def log(self, payload: dict[str, Any]) -> None:
            told.append(payload)
            raise RuntimeError("a logger that fails")

    class Monitor:
        def gauge(self, gauge: Any) -> None:
            gauges.append((gauge.name, gauge.serialize()["_value"]))
            raise RuntimeError("a monitor that fails")

    async with FlowDataStore("Flow", None, None, Logger(), Monitor(), ds_root=flow.store) as loud:
        await written(loud, {"a": b"12345", "b": "678"})
        task = await loud.get_task_datastore("1", "step", "1")
        assert await task.get("a") == b"12345"
        [(_, key)] = await loud.save_data([b"1234567"])
        assert [blob async for _, blob in loud.load_data([key])] == [b"1234567"]
    seen = [(each["event"], each["count"], each["bytes"]) for each in told]
    assert seen == [("save_artifacts", 2, 8), ("load_artifacts", 1, 5), ("save_data", 1, 7), ("load_data", 1, 7)]
    assert all(each["seconds"] > 0 for each in told)
    assert ("packhouse.save_artifacts.count", 2) in gauges


async def test_several_names_of_metadata_are_asked_at_once(flow: FlowDataStore) -> None:
    task = await written(flow, {}, done=False)
    await task.save_metadata({"a": 1})
    assert await task.has_metadata(["a", "b"]) == {"a": True, "b": False}


async def test_the_root_is_the_argument_then_the_variable_then_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PACKHOUSE_ROOT", str(tmp_path / "variable"))
    assert PackhouseStorage("x").datastore_root == str(tmp_path / "x")
    assert PackhouseStorage().datastore_root == str(tmp_path / "variable")
    monkeypatch.delenv("PACKHOUSE_ROOT")
    assert PackhouseStorage().datastore_root == str(tmp_path / ".packhouse")
    assert PackhouseStorage("memory://").datastore_root == "memory://"


async def test_the_storage_is_a_class_that_is_called_with_the_root(tmp_path: Path) -> None:
    roots: list[Any] = []

    class Mine(PackhouseStorage):
        TYPE = "mine"

        def __init__(self, root: Any = None) -> None:
            roots.append(root)
            super().__init__(root)

    class WithDefault(FlowDataStore):
        default_storage_impl = Mine

    async with WithDefault("Flow", ds_root=tmp_path / "a") as flow:
        assert flow.TYPE == "mine"
        await written(flow, {"a": 1})
        data = await (await flow.get_task_datastore("1", "step", "1")).load_metadata(["data.json"])
        assert data["data.json"]["datastore"] == "mine"
    assert FlowDataStore("Flow", storage_impl=Mine, ds_root="memory://").TYPE == "mine"
    assert roots == [tmp_path / "a", "memory://"]
    for wrong in (7, Path):
        with pytest.raises(InvalidInput):
            FlowDataStore("Flow", storage_impl=wrong, ds_root="memory://")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
async def test_a_storage_of_metaflow_says_where_the_root_is(tmp_path: Path) -> None:
    local = pytest.importorskip("metaflow.plugins.datastores.local_storage").LocalStorage
    async with FlowDataStore("Flow", storage_impl=local, ds_root=str(tmp_path / "root")) as flow:
        await written(flow, {"a": 1})
        assert flow.TYPE == "packhouse"
        assert flow.datastore_root == str(tmp_path / "root" / "packhouse")
    async with FlowDataStore("Flow", ds_root=tmp_path / "root" / "packhouse") as flow:
        assert await (await flow.get_task_datastore("1", "step", "1")).get("a") == 1

    class Bucket(local):  # type: ignore[misc,valid-type]
        TYPE = "s3"

    flow = FlowDataStore("Flow", storage_impl=Bucket, ds_root="s3://bucket/root")
    assert flow.datastore_root == "s3://bucket/root/packhouse"

    class Sealing(local):  # type: ignore[misc,valid-type]  # as above
        def save_bytes(self, *arguments: Any, **options: Any) -> None:
            raise AssertionError("it would never be called")

    with pytest.raises(InvalidInput, match="only the root is used"):
        FlowDataStore("Flow", storage_impl=Sealing, ds_root=str(tmp_path / "sealed"))
    with pytest.raises(InvalidInput, match="gs"):
        FlowDataStore("Flow", storage_impl=Bucket, ds_root="gs://bucket/root")


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


async def test_force_v4_and_the_hint_share_a_place(flow: FlowDataStore) -> None:
    task = await written(flow, {}, done=False)
    await task.save_artifacts([("a", (1,)), ("b", (2,))], {"a": True})
    await task.save_artifacts([("c", (3,))], True)
    await task.save_artifacts([("d", (4,))], 1)
    with pytest.raises(InvalidInput):
        await task.save_artifacts([("e", 5)], "yes")  # type: ignore[arg-type]
    assert {each.name: each.encoding for each in task.artifacts()} == {
        "a": "pickle-v4", "b": "pickle-v5", "c": "pickle-v4", "d": "pickle-v5",
    }  # fmt: skip


async def test_pickles_need_trust(flow: FlowDataStore) -> None:
    await written(flow, {"p": (1,), "j": [1]})
    async with FlowDataStore("Flow", ds_root=flow.store, trust=None) as careful:
        task = await careful.get_task_datastore("1", "step", "1")
        assert await task["j"] == [1]
        with pytest.raises(InvalidInput, match="trust='pickle'"):
            await task["p"]


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


async def test_what_is_wrong_is_refused_before_anything_is_written(flow: FlowDataStore) -> None:
    task = await written(flow, {}, done=False)
    for wrong in ("text", {"a": 1}, 5, [("a",)], [5]):
        with pytest.raises(InvalidInput):
            await task.save_artifacts(wrong)  # type: ignore[arg-type]
    assert task.artifacts() == []
    for attempt in (-1, 6):
        with pytest.raises(InvalidInput):
            await flow.get_task_datastore("1", "step", "1", attempt=attempt, mode="w")


async def test_a_record_too_large_for_a_document_is_kept_as_a_blob(
    flow: FlowDataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("packhouse.tasks.files._LARGEST_RECORD", 1000)
    values = {f"a{number}": number for number in range(50)}
    await written(flow, values)
    task = await flow.get_task_datastore("1", "step", "1")
    assert await task.to_dict() == values
    name = TaskId("Flow", "1", "step", "1").file("data.json", 0)
    assert list((await flow.store.names.get(name)).doc) == ["blob"]


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
