"""The files of `--datastore packhouse`, without Metaflow: what a storage class has to do, in one packhouse store."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from packhouse.compat.metaflow.packed.store import PackedStore
from packhouse.errors import BlobNotFound, InvalidInput
from packhouse.sync.tasks import FlowDataStore

TASK = "Flow/7/fit/3"


@pytest.fixture
def packed(tmp_path: Path) -> PackedStore:
    return PackedStore(str(tmp_path / "store"))


def _record(**objects: str) -> bytes:
    info = {name: {"size": 1, "type": "<class 'bytes'>", "encoding": "pickle-v4"} for name in objects}
    return json.dumps({"objects": objects, "info": info, "version": "1.0", "newer": "part"}).encode()


def test_files_of_every_kind_come_back_and_are_replaced_only_on_request(packed: PackedStore) -> None:
    paths = {
        f"{TASK}/0.attempt.json": (b'{"time": 1.5}', b'{"time": 2.5}'),
        f"{TASK}/0.runtime": (b'{"success": true}', b'{"success": false}'),
        f"{TASK}/_resume_done": (b'""', b"1"),
        f"{TASK}/0.task_stdout.log": (b"\xff raw bytes\n", b"other"),
        "mf.cards/Flow/runs/7/steps/fit/tasks/3/cards/default-abc.html": (b"<html>", b"<html>2"),
        "data/Flow/0beec7b5ea3f0fdbc95d0dd47f3c5bc275da8a33": (b"foo", b"bar"),
    }
    assert packed.load_files(list(paths)) == [None] * len(paths)
    assert packed.exist(list(paths)) == [False] * len(paths)
    for path, (first, second) in paths.items():
        packed.save_files([(path, first)], overwrite=False)
        packed.save_files([(path, second)], overwrite=False)
    assert packed.load_files(list(paths)) == [first for first, _ in paths.values()]
    assert [packed.size(path) for path in paths] == [len(first) for first, _ in paths.values()]
    packed.save_files([(path, second) for path, (_, second) in paths.items()], overwrite=True)
    assert packed.load_files(list(paths)) == [second for _, second in paths.values()]
    assert packed.exist([*paths, f"{TASK}/1.runtime"]) == [True] * len(paths) + [False]


def test_a_record_is_refused_while_a_blob_is_missing(packed: PackedStore) -> None:
    [key] = packed.save_blobs([b"there"], pin=False)
    with pytest.raises(BlobNotFound):
        packed.save_files([(f"{TASK}/0.data.json", _record(there=key, gone="ab" * 32))], overwrite=True)
    assert packed.load_files([f"{TASK}/0.data.json"]) == [None]


def test_a_record_keeps_what_metaflow_wrote_and_tells_where_blobs_stand(packed: PackedStore, tmp_path: Path) -> None:
    keys = packed.save_blobs([os.urandom(30_000), b"small"], pin=False)
    packed.save_files([(f"{TASK}/0.attempt.json", b'{"time": 1.5}')], overwrite=True)
    packed.save_files([(f"{TASK}/0.data.json", _record(large=keys[0], small=keys[1]))], overwrite=True)
    packed.save_files([(f"{TASK}/0.DONE.lock", b'""')], overwrite=True)
    [content] = packed.load_files([f"{TASK}/0.data.json"])
    told = json.loads(content or b"")
    assert told["newer"] == "part"
    assert told["objects"] == {"large": keys[0], "small": keys[1]}
    assert set(told["places"]) == {"large", "small"}
    with FlowDataStore("Flow", ds_root=tmp_path / "store") as flow:
        [task] = flow.get_latest_task_datastores("7")
        assert {artifact.name: artifact.key for artifact in task.inner.artifacts()} == told["objects"]
    assert packed.artifact_of(keys[0], "Flow") == f"{TASK}/large"


@pytest.mark.parametrize(
    "said",
    [
        '{"z": [1, 2.5, -0.0, 1e16, 0.1, true], "a": {"deep": ["\\u00fc", "\\ud83d\\ude00"]}}',
        '{"nothing": null, "more": [NaN, Infinity, -Infinity]}',
        '"half of a pair: \\ud800"',
        f"[{2**70}, {10**18}, {-(2**63)}]",
        "[" * 300 + "]" * 300,
    ],
    ids=["plain", "not numbers", "no UTF-8", "large numbers", "deep"],
)
def test_a_record_comes_back_as_it_was_written_whatever_json_it_holds(packed: PackedStore, said: str) -> None:
    path = f"{TASK}/0.data.json"
    written = json.dumps({"version": "1.0", "newer": json.loads(said), "objects": {}, "info": {}})
    packed.save_files([(path, written.encode())], overwrite=True)
    [content] = packed.load_files([path])
    assert content is not None
    read = json.loads(content)
    assert json.dumps({name: read[name] for name in json.loads(written)}) == written


def test_folders_are_listed_one_level_deep(packed: PackedStore) -> None:
    assert list(packed.list("Flow")) == []
    for task in ("Flow/7/fit/3", "Flow/7/fit/10", "Flow/7/end/4", "Flow/8/fit/1"):
        for attempt in (0, 1):
            packed.save_files([(f"{task}/{attempt}.attempt.json", b'{"time": 1.5}')], overwrite=True)
    assert {one.path for one in packed.list("Flow")} == {"Flow/7", "Flow/8"}
    assert {one.path for one in packed.list("Flow/7")} == {"Flow/7/fit", "Flow/7/end"}
    assert {one.path for one in packed.list("Flow/7/fit")} == {"Flow/7/fit/3", "Flow/7/fit/10"}
    cards = "mf.cards/Flow/runs/7/steps/fit/tasks/3/cards"
    packed.save_files([(f"{cards}/a.html", b"a")], overwrite=True)
    packed.save_files([(f"{cards}/deeper/b.html", b"b")], overwrite=True)
    assert {(one.path, one.is_file) for one in packed.list(cards)} == {
        (f"{cards}/a.html", True),
        (f"{cards}/deeper", False),
    }


def test_what_cannot_stand_there_is_refused(packed: PackedStore) -> None:
    with pytest.raises(InvalidInput, match="blobs are saved"):
        packed.save_files([("Flow/data/ab/abcd", b"a blob")], overwrite=True)
    with pytest.raises(InvalidInput, match="JSON"):
        packed.save_files([(f"{TASK}/0.runtime", b"\xff")], overwrite=True)


def test_a_forked_child_opens_the_store_anew(packed: PackedStore) -> None:
    [key] = packed.save_blobs([b"before"], pin=True)
    child = os.fork()
    if child == 0:
        ended = 1
        try:
            packed.save_blobs([b"in the child"], pin=True)
            ended = 0 if [data for _, data in packed.load_blobs([key])] == [b"before"] else 2
        finally:
            os._exit(ended)
    assert os.waitpid(child, 0)[1] == 0
    assert [data for _, data in packed.load_blobs([key])] == [b"before"]
