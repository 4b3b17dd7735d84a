"""`packhouse metaflow verify` and `compare`, as a person types them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.metaflow.stores import file_of, ours, save
from tests.metaflow.worlds import World

COMMAND = str(Path(sys.executable).with_name("packhouse"))


def _run(folder: Path, *arguments: str, code: int = 0, drop_in: bool = True) -> str:
    environment = os.environ | {"METAFLOW_PACKHOUSE": "1" if drop_in else "0"}
    ended = subprocess.run(
        [COMMAND, "metaflow", *arguments], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    return ended.stdout + ended.stderr


@pytest.mark.timeout(300)
def test_verify_names_the_runs_that_damage_hurts(tmp_path: Path) -> None:
    world = World(tmp_path)
    world.flow("linear", "run", "--size", "100000")
    assert "nothing is wrong" in _run(tmp_path, "verify", ".")
    record = next(world.root.glob("Linear/*/end/*/0.data.json"))
    objects = json.loads(record.read_bytes())["objects"]
    damaged, missing = (file_of(world.root.parent, objects[name]) for name in ("noise", "text"))
    damaged, missing = (world.root / "Linear/data" / path.parent.name / path.name for path in (damaged, missing))
    damaged.write_bytes(damaged.read_bytes()[:-1000] + bytes(1000))
    missing.unlink()
    said = _run(tmp_path, "verify", ".", code=4)
    run, step, task = record.parts[-4:-1]
    assert f"damaged: ./.metaflow/Linear/data/{damaged.parent.name}/{damaged.name}" in said
    assert f"hurts Linear/{run}/{step}/{task} attempt 0: noise" in said
    assert f"hurts Linear/{run}/{step}/{task} attempt 0: text" in said
    assert "2 blobs cannot be read" in said
    told = json.loads(_run(tmp_path, "verify", ".", "--json", code=4).splitlines()[0])
    assert {one["what"] for one in told["hurt"]} == {"damaged", "missing"}
    read = f"print(len(Task('Linear/{run}/end/{task}').data.noise))"
    error = world.call("-c", f"from metaflow import Task, namespace as n; n(None); {read}", fails=True)
    assert f"Linear/{run}/" in error
    assert "/noise" in error, "the error does not name the artifact"
    assert damaged.name in error


def test_verify_tells_of_records_that_cannot_be_read(tmp_path: Path) -> None:
    save(ours(tmp_path), [b"sound"])
    record = tmp_path / "Flow" / "1" / "start" / "1" / "0.data.json"
    record.parent.mkdir(parents=True)
    record.write_bytes(b"")
    said = _run(tmp_path, "verify", ".", code=4)
    assert "unreadable: ./Flow/1/start/1/0.data.json" in said
    assert "nothing is wrong" not in said
    assert json.loads(_run(tmp_path, "verify", ".", "--json", code=4).splitlines()[0])["unreadable"]


@pytest.mark.parametrize("alone", [False, True], ids=["beside another flow", "alone"])
def test_a_flow_whose_data_folder_is_gone_is_told(tmp_path: Path, alone: bool) -> None:
    [key] = save(ours(tmp_path), [b"lost"])
    record = tmp_path / "Flow" / "1" / "start" / "1" / "0.data.json"
    record.parent.mkdir(parents=True)
    record.write_text(json.dumps({"objects": {"wanted": key}}))
    if not alone:
        (tmp_path / "Other" / "data").mkdir(parents=True)
    assert "nothing is wrong" in _run(tmp_path, "verify", ".")
    shutil.rmtree(tmp_path / "Flow" / "data")
    said = _run(tmp_path, "verify", ".", code=4)
    assert f"missing: ./Flow/data/{key[:2]}/{key}" in said
    assert "hurts Flow/1/start/1 attempt 0: wanted" in said


@pytest.mark.skipif(os.geteuid() == 0, reason="root may list every folder")
def test_verify_tells_of_runs_that_it_may_not_read(tmp_path: Path) -> None:
    save(ours(tmp_path), [b"sound"])
    run = tmp_path / "Flow" / "17"
    run.mkdir(mode=0)
    try:
        assert "unreadable: ./Flow/17" in _run(tmp_path, "verify", ".", code=4)
    finally:
        run.chmod(0o700)


def _opened(pid: int) -> set[str]:
    found = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            found.add(str(link.readlink()))
    return found


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="what a process has open is told by Linux alone")
def test_an_interrupted_verify_ends_at_once(tmp_path: Path) -> None:
    large = file_of(tmp_path, "ab" * 20)
    large.parent.mkdir(parents=True)
    large.touch()
    os.truncate(large, 64 << 30)  # a hole: a minute to read, nothing to keep
    verifying = subprocess.Popen([COMMAND, "metaflow", "verify", "."], cwd=tmp_path, stderr=subprocess.PIPE)
    try:
        while str(large) not in _opened(verifying.pid):
            assert verifying.poll() is None
            time.sleep(0.05)
        verifying.send_signal(signal.SIGINT)
        said = verifying.communicate(timeout=10)[1].decode()
    finally:
        verifying.kill()
    assert verifying.returncode == 130, said
    assert "interrupted" in said
    assert "Traceback" not in said


def test_verify_refuses_a_folder_without_a_datastore(tmp_path: Path) -> None:
    assert "no such folder" in _run(tmp_path, "verify", "nowhere", code=3)
    assert "no flow" in _run(tmp_path, "verify", ".", code=3)


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="not root: nobody to drop privileges to")
def test_a_datastore_that_may_not_be_written_is_verified_all_the_same() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        [key] = save(ours(folder), [b"x" * 5000])
        path = file_of(folder, key)
        path.write_bytes(path.read_bytes()[:-9] + bytes(9))
        folder.chmod(0o755)
        path.chmod(0o644)
        nobody = ["setpriv", "--reuid=65534", "--clear-groups"]
        if subprocess.run([*nobody, COMMAND, "--version"], capture_output=True, check=False).returncode != 0:
            pytest.skip("nobody but root may run the command here")
        command = [*nobody, COMMAND, "metaflow", "verify", place]
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
        assert ended.returncode == 4, ended.stdout + ended.stderr
        assert not (folder / "Flow" / "data" / "damage").exists()


def test_compare_prints_both_side_by_side_and_leaves_nothing(tmp_path: Path) -> None:
    said = _run(tmp_path, "compare", "--scale", "0.001")
    assert said.count("MiB/s") == 16
    assert "stock    returns wrong bytes; saved again: returns wrong bytes" in said
    assert said.count("drop-in  raises UnreadableArtifact; saved again: loads") == 4
    assert list(tmp_path.iterdir()) == []
    assert "not installed in this environment, or switched off" in _run(tmp_path, "compare", code=2, drop_in=False)
