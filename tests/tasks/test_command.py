"""`packhouse runs`, `show`, `logs` and `cat URI`, as a shell user meets them."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packhouse.sync.tasks import FlowDataStore
from tests.servers.fixtures import reach

COMMAND = Path(sys.executable).parent / "packhouse"


def shell(*arguments: str, code: int = 0) -> str:
    done = subprocess.run([COMMAND, *arguments], capture_output=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr.decode()
    assert b"Traceback" not in done.stderr
    return (done.stdout if code == 0 else done.stderr).decode()


@pytest.fixture(params=["folder", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store with a run: one task done, one that runs."""
    url = str(tmp_path / "store")
    if request.param != "folder":
        bucket, variables = reach(request.param, request)
        url = f"{bucket}/command-{secrets.token_hex(4)}"
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
    monkeypatch.setenv("PACKHOUSE_STORE", url)
    with FlowDataStore("Train", ds_root=url) as flow:
        for name, done in (("1", True), ("2", False)):
            task = flow.get_task_datastore("7", "fit", name, attempt=0, mode="w")
            task.init_task()
            task.save_artifacts([("model", (1, 2)), ("text", "x" * 5000), ("again", "x" * 5000)])
            task.save_logs("task", {"stdout": "hello\n", "stderr": "warning\n"})
            if done:
                task.done()
    return url


def test_runs_are_listed_with_what_is_done(root: str) -> None:
    assert shell("runs") == "Train/7  2 tasks, 1 done, 1 not done\n"
    assert json.loads(shell("runs", "Train", "--json")) == {"flow": "Train", "run": "7", "tasks": 2, "done": 1}
    assert shell("runs", "Other") == ""


def test_a_task_is_shown_without_loading_a_pickle(root: str) -> None:
    shown = shell("show", "Train/7/fit/1")
    assert shown.startswith("attempt 0, done: 3 artifacts")
    assert "model" in shown
    assert "tuple (pickle-v5)" in shown
    assert "log task/stdout: 6 B" in shown
    document = json.loads(shell("show", "Train/7/fit/1/0", "--json"))
    artifacts = {each["name"]: each for each in document["artifacts"]}
    assert artifacts["again"]["added"] == 0 or artifacts["text"]["added"] == 0
    assert artifacts["text"]["size"] == 5000
    assert document["done"]
    assert shell("show", "Train/7/fit/2").startswith("attempt 0, not done: 0 artifacts")


@pytest.mark.parametrize(("path", "code"), [("Train/7/fit", 2), ("Train/7/fit/9", 3), ("Train/7/fit/1/4", 3)])
def test_a_task_that_is_not_there_is_said_to_be_missing(root: str, path: str, code: int) -> None:
    assert shell("show", path, code=code).startswith("packhouse: ")


def test_logs_are_printed_and_followed_until_the_task_is_done(root: str) -> None:
    assert shell("logs", "Train/7/fit/1") == "hello\n"
    assert shell("logs", "Train/7/fit/1", "--stream", "stderr") == "warning\n"
    command = [str(COMMAND), "logs", "-f", "--interval", "0.05", "Train/7/fit/2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "hello\n"
        with FlowDataStore("Train", ds_root=root) as flow:
            task = flow.get_task_datastore("7", "fit", "2", attempt=0, mode="w")
            with task.log_writer("task", "stdout") as log:
                log.write("later\n")
            assert following.stdout.readline() == "later\n"
            time.sleep(0.1)
            assert following.poll() is None
            task.done()
        assert following.wait(timeout=30) == 0


def test_logs_of_all_sources_are_printed_unless_one_is_asked_for(root: str) -> None:
    with FlowDataStore("Train", ds_root=root) as flow:
        task = flow.get_task_datastore("7", "fit", "1", attempt=0, mode="w")
        task.save_logs("runtime", {"stdout": "as Metaflow's runtime saves it\n"})
        flow.get_task_datastore("7", "fit", "3", attempt=0, mode="w").init_task()
    assert shell("logs", "Train/7/fit/1") == "as Metaflow's runtime saves it\nhello\n"
    assert shell("logs", "Train/7/fit/1", "--source", "task") == "hello\n"
    assert shell("logs", "Train/7/fit/1", "--stream", "stderr") == "warning\n"
    assert shell("logs", "Train/7/fit/3") == "", "it has written nothing yet"
    said = shell("logs", "Train/7/fit/2", "--source", "runtime", code=3)
    assert "Train/7/fit/2 has no log runtime/stdout" in said
    assert "task/stderr, task/stdout" in said
    assert "has no log other" in shell("logs", "Train/7/fit/2", "--stream", "other", code=3)


def test_following_ends_when_another_attempt_has_begun(root: str) -> None:
    command = [str(COMMAND), "logs", "-f", "--interval", "0.05", "Train/7/fit/2/0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        assert following.stdout.readline() == "hello\n"
        with FlowDataStore("Train", ds_root=root) as flow:
            killed = flow.get_task_datastore("7", "fit", "2", attempt=0, mode="w")
            killed.save_logs("runtime", {"stdout": "killed\n"})
            assert following.stdout.readline() == "killed\n"
            flow.get_task_datastore("7", "fit", "2", attempt=1, mode="w").init_task()
        assert following.wait(timeout=30) == 0
        assert following.stdout.read() == ""


def test_the_uri_of_saved_data_is_all_that_cat_needs(
    root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with FlowDataStore("Train", ds_root=root) as flow:
        [(uri, _), (other, _)] = flow.save_data([b"content", b"more"])
    monkeypatch.delenv("PACKHOUSE_STORE")
    assert shell("cat", uri, other) == "contentmore"
    assert "URI" in shell("cat", "0" * 64, code=2)
