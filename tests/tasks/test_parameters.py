"""Every parameter does what it says: roots, storage classes, loggers, forms, trust; what is wrong is refused."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

from packhouse.errors import InvalidInput, StoreClosed
from packhouse.sync.tasks import ContentAddressedStore as SyncContent
from packhouse.tasks import FlowDataStore, PackhouseStorage
from tests.tasks.writing import written


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

    for root in ("s3://bucket/root", "gs://bucket/root"):
        flow = FlowDataStore("Flow", storage_impl=Bucket, ds_root=root)
        assert flow.datastore_root == f"{root}/packhouse"

    class Sealing(local):  # type: ignore[misc,valid-type]  # as above
        def save_bytes(self, *arguments: Any, **options: Any) -> None:
            raise AssertionError("it would never be called")

    with pytest.raises(InvalidInput, match="only the root is used"):
        FlowDataStore("Flow", storage_impl=Sealing, ds_root=str(tmp_path / "sealed"))
    with pytest.raises(InvalidInput, match="hdfs"):
        FlowDataStore("Flow", storage_impl=Bucket, ds_root="hdfs://bucket/root")


def test_a_root_of_metaflow_in_azure_is_a_container_and_no_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    local = pytest.importorskip("metaflow.plugins.datastores.local_storage").LocalStorage
    config = sys.modules["metaflow.metaflow_config"]

    class Azure(local):  # type: ignore[misc,valid-type]  # a class that is looked up when the test runs
        TYPE = "azure"

    endpoint = "AZURE_STORAGE_BLOB_SERVICE_ENDPOINT"
    monkeypatch.setattr(config, endpoint, "https://account.blob.core.windows.net/")
    flow = FlowDataStore("Flow", storage_impl=Azure, ds_root="container/root")
    assert flow.datastore_root == "az://account/container/root/packhouse"
    for unknown in (None, "https://blobs.example"):
        monkeypatch.setattr(config, endpoint, unknown)
        with pytest.raises(InvalidInput, match=f"METAFLOW_{endpoint}"):
            FlowDataStore("Flow", storage_impl=Azure, ds_root="container/root")


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


async def test_what_is_wrong_is_refused_before_anything_is_written(flow: FlowDataStore) -> None:
    task = await written(flow, {}, done=False)
    for wrong in ("text", {"a": 1}, 5, [("a",)], [5]):
        with pytest.raises(InvalidInput):
            await task.save_artifacts(wrong)  # type: ignore[arg-type]
    assert task.artifacts() == []
    for attempt in (-1, 6):
        with pytest.raises(InvalidInput):
            await flow.get_task_datastore("1", "step", "1", attempt=attempt, mode="w")


def test_a_content_addressed_store_is_made_as_in_metaflow(tmp_path: Path) -> None:
    store = SyncContent("Flow/data", PackhouseStorage(tmp_path / "store"))
    saved = store.save_blobs(iter([b"one", b"two"]), raw=True)
    assert [type(each) for each in saved] == [store.save_blobs_result] * 2
    assert dict(store.load_blobs([each.key for each in saved])) == {saved[0].key: b"one", saved[1].key: b"two"}
    store.close()
    with pytest.raises(StoreClosed):
        store.save_blobs([b"three"])


async def test_a_transfer_under_a_wrong_key_saves_nothing(flow: FlowDataStore) -> None:
    [right] = [saved.key for saved in await flow.ca_store.save_blobs([b"right"])]
    before = flow.store.stats()

    async def items() -> AsyncIterator[tuple[str, bytes, None]]:
        yield right, b"right", None
        yield "0" * 64, b"wrong", None

    for wrong in (items(), iter([("0" * 64, b"wrong", None)])):
        with pytest.raises(InvalidInput, match="is another one"):
            await flow.ca_store.save_blobs(wrong, is_transfer=True)
    assert not await flow.store.contains(blake3(b"wrong").hexdigest())
    assert flow.store.stats() == before
