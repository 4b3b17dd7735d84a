"""`--datastore packhouse`: real flows with their artifacts, records, logs, cards and files in one packhouse store."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from metaflow.datastore.content_addressed_store import ContentAddressedStore

import packhouse.sync
from packhouse.compat.metaflow.packed.storage import PackhouseStorage
from packhouse.sync.tasks import FlowDataStore
from tests.metaflow.worlds import EVERYTHING, FLOWS, HUNDRED, World, lean, oldest, packed, stock

pytestmark = pytest.mark.timeout(300)
COMMAND = str(Path(sys.executable).with_name("packhouse"))
_HEAD = "import json\nfrom metaflow import Flow, namespace\nnamespace(None)\n"


def _command(*arguments: str) -> str:
    return subprocess.run([COMMAND, *arguments], capture_output=True, text=True, check=True).stdout


def _sound(folder: Path) -> bool:
    with packhouse.sync.open(folder / ".packhouse", mode="r") as store:
        return not store.verify().findings


def _stored(folder: Path) -> int:
    return sum(path.stat().st_size for path in (folder / ".packhouse").rglob("*") if path.is_file())


def test_retries_catch_cards_files_logs_and_a_resume(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    world = packed(tmp_path, TROUBLED_TABLE=str(tmp_path / "table.csv"))
    broken = replace(world, extra={**world.extra, "TROUBLED_BREAK": "1"})
    assert "broken on request" in broken.flow("troubled", fails=True)
    world.flow("troubled", "resume")
    told = world.ask(
        _HEAD
        + """
from metaflow.cards import get_cards
run = Flow("Troubled").latest_run
failed = [task for run in Flow("Troubled") for task in run["join"] if not task.successful]
print(json.dumps({
    "run": run.id,
    "successful": run.successful,
    "table": run["end"].task.data.table,
    "cards": ["<html" in card.get() for card in get_cards(run["join"].task)],
    "log": failed[0].stderr,
    "left": run["left"].task.data.before,
}))
"""
    )
    assert told["successful"]
    assert told["table"] == "a,b\n1,2\n"
    assert told["cards"] == [True]
    assert "broken on request" in told["log"]
    assert told["left"] == "attempt 1"
    assert not list((tmp_path / ".metaflow").rglob("data.json")), "records are in the store alone"
    assert not list((tmp_path / ".metaflow").rglob("*.html")), "cards are in the store alone"
    assert _sound(tmp_path)
    # The same run, seen without Metaflow.
    assert f"Troubled/{told['run']}" in _command("runs", "-s", str(tmp_path / ".packhouse"))
    with FlowDataStore("Troubled", ds_root=tmp_path / ".packhouse") as flow:
        [end] = flow.get_latest_task_datastores(told["run"], steps=["end"])
        assert float(end["array"].sum()) == end["sum"]
        located = end.inner._record.located("array")
        assert located.locator, "the record tells where the blob stands"
        assert len(flow.store.load_range(located, 1_000_000, 1_000_100)) == 100


def test_a_foreach_and_a_second_run_that_adds_next_to_nothing(tmp_path: Path) -> None:
    world = packed(tmp_path)
    world.flow("wide", "run", "--width", "2", "--max-workers", "2")
    first = _stored(tmp_path)
    world.flow("wide", "run", "--width", "2", "--max-workers", "2")
    assert first > 300_000
    assert _stored(tmp_path) - first < 150_000, "what was there was stored again"
    assert len(world.ask(EVERYTHING % "Wide")) == 10
    assert _sound(tmp_path)


def test_a_foreach_of_a_hundred_tasks_ends_well(tmp_path: Path) -> None:
    world = lean(packed(tmp_path))
    world.flow("wide", "run", *HUNDRED)
    assert [task["successful"] for task in world.ask(EVERYTHING % "Wide").values()] == [True] * 103
    assert _sound(tmp_path)


def test_who_cannot_read_it_is_told_why(tmp_path: Path) -> None:
    world = packed(tmp_path)
    world.flow("linear", "run", "--size", "1000")
    read = _HEAD + "print(Flow('Linear').latest_run['end'].task.data.text)"
    assert "Datastore packhouse was not found" in stock(tmp_path).call("-c", read, fails=True)
    off = replace(world, drop_in=False)
    assert "packhouse-metaflow is switched off" in off.flow("linear", fails=True)
    assert "invalid choice: packhouse" in stock(tmp_path).flow("linear", "--datastore", "packhouse", "run", fails=True)
    # Metaflow's own sentences: remote runners need a store that they reach.
    for runner in ("batch", "kubernetes"):
        assert "requires --datastore=s3" in world.flow("linear", "run", "--with", runner, fails=True)
    assert "`packhouse` is not supported" in world.flow("linear", "airflow", "create", "dag.py", fails=True)


def test_a_damaged_artifact_is_an_error_that_names_it(tmp_path: Path) -> None:
    world = packed(tmp_path)
    world.flow("linear", "run", "--size", "1000000")
    for path in (tmp_path / ".packhouse").rglob("*"):
        if path.is_file() and path.stat().st_size > 900_000:
            content = bytearray(path.read_bytes())
            content[450_000] ^= 1
            path.write_bytes(content)
    said = world.call("-c", _HEAD + "print(len(Flow('Linear').latest_run['end'].task.data.noise))", fails=True)
    assert "UnreadableArtifact" in said
    assert "/noise cannot be read" in said


def test_packages_of_conda_stand_in_the_store_beside_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Metaflow keeps them at a root of their own, below ours, and does so before anything else is saved."""
    monkeypatch.setattr(ContentAddressedStore, "keeps_packs", True, raising=False)
    root = tmp_path / ".packhouse"
    packages, tasks = PackhouseStorage(f"{root}/conda"), PackhouseStorage(str(root))
    packages.save_bytes([], len_hint=0)
    assert not root.exists(), "no packages, no store"
    path = "conda.anaconda.org/conda-forge/linux-64/python.conda"
    packages.save_bytes([(path, BytesIO(b"a package"))])

    class Fetched(BytesIO):
        def read(self, *_: Any) -> bytes:
            raise AssertionError("a package that is there was fetched again")

    packages.save_bytes([(path, Fetched())])
    tasks.save_bytes([("conda/1/start/1/0.attempt.json", BytesIO(b'{"time": 1.5}'))])  # a flow may have that name
    assert (packages.is_file([path]), packages.size_file(path)) == ([True], 9)
    [entry] = packages.list_content(["conda.anaconda.org/conda-forge"])
    assert tuple(entry) == ("conda.anaconda.org/conda-forge/linux-64", False)
    with packages.load_bytes([path]) as loaded:
        [(_, local, _)] = loaded
        assert Path(local).read_bytes() == b"a package"
    assert "conda/1" in _command("runs", "-s", str(root))


BOTH = pytest.mark.parametrize("kind", [World, packed], ids=["drop-in", "packhouse"])


@BOTH
def test_a_step_is_spun_on_the_artifacts_of_a_run(tmp_path: Path, kind: type[World]) -> None:
    world = kind(tmp_path)
    world.flow("linear", "run", "--size", "100000")
    assert "Task finished successfully" in world.flow("linear", "spin", "end")


@BOTH
def test_a_code_package_in_the_datastore_is_what_the_client_unpacks(tmp_path: Path, kind: type[World]) -> None:
    """Remote steps fetch it from there; a local run keeps one only where Metaflow is told to."""
    world = kind(tmp_path)
    assert "linear.py" in world.flow("linear", "package", "list")
    always = {**world.extra, "METAFLOW_FEAT_ALWAYS_UPLOAD_CODE_PACKAGE": "1"}
    replace(world, extra=always).flow("linear", "run", "--size", "1000")
    read = (
        _HEAD
        + "code = Flow('Linear').latest_run.code\nprint(json.dumps([code.flowspec.decode(), code.tarball.getnames()]))"
    )
    for reader in [world, *([stock(tmp_path)] if kind is World else [])]:
        flowspec, names = reader.ask(read)
        assert flowspec == (FLOWS / "linear.py").read_text()
        assert any(name.endswith("linear.py") for name in names)


@BOTH
def test_a_code_package_runs_where_packhouse_is_not_installed(tmp_path: Path, kind: type[World]) -> None:
    """As on a remote image: the package brings the extension, nobody brings packhouse; it works on local files."""
    kind(tmp_path).flow("linear", "package", "save", str(tmp_path / "code.tgz"))
    unpacked = tmp_path / "unpacked"
    unpacked.mkdir()
    subprocess.run(["tar", "xzf", str(tmp_path / "code.tgz"), "-C", str(unpacked)], check=True)
    code = next(unpacked.rglob("metaflow/__init__.py")).parents[1]
    image = replace(stock(unpacked), extra={"PYTHONPATH": os.pathsep.join(map(str, (code, unpacked)))})
    where = image.call("-c", "import metaflow, json; print(metaflow.__file__)")
    assert str(unpacked) in where, "not the packaged Metaflow"
    image.flow("linear", "run", "--size", "1000")
    assert len(stock(unpacked).ask(EVERYTHING % "Linear")) == 3


def test_the_oldest_metaflow_that_works_has_it_too(tmp_path: Path) -> None:
    world = packed(tmp_path)
    old = replace(oldest(tmp_path), extra=world.extra)
    old.flow("linear", "run", "--size", "1000")
    assert len(world.ask(EVERYTHING % "Linear")) == 3
    assert old.ask(_HEAD + "print(json.dumps(Flow('Linear').latest_run.successful))") is True
