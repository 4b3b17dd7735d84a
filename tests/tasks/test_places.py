"""A flow in a bucket and in memory: whatever `packhouse.open` opens is a root."""

from __future__ import annotations

import secrets
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from packhouse.sync.tasks import FlowDataStore
from tests.servers.fixtures import reach

COMMAND = Path(sys.executable).parent / "packhouse"


@pytest.mark.timeout(120)
@pytest.mark.parametrize("kind", ["memory", "s3"])
def test_a_flow_is_kept_wherever_a_store_can_be(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    root = "memory://"
    if kind != "memory":
        url, environment = reach(kind, request)
        root = f"{url}/{secrets.token_hex(4)}"
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
    values: dict[str, Any] = {"large": np.arange(300_000.0), "b": "text", "a": [1, None]}
    with ExitStack() as opened:
        flow = opened.enter_context(FlowDataStore("Flow", ds_root=root))
        again = flow  # in memory each has its own store
        if kind != "memory":
            again = opened.enter_context(FlowDataStore("Flow", ds_root=root))
        task = flow.get_task_datastore("1", "step", "1", attempt=0, mode="w")
        task.init_task()
        task.save_artifacts(values.items())
        task.save_metadata({"host": "node-3"})
        assert again.get_latest_task_datastores("1") == []
        with task.log_writer("task", "stdout") as log:
            log.write("one ")
            log.flush()
            running = again.get_task_datastore("1", "step", "1", allow_not_done=True)
            assert running.load_logs(["task"], "stdout") == [("task", b"one ")]
            log.write(b"two" * 10_000)
        task.done()
        [found] = again.get_latest_task_datastores("1")
        loaded = dict(found.load_artifacts(values))
        assert list(found) == list(loaded) == list(values)
        assert np.array_equal(loaded.pop("large"), values["large"])
        assert loaded == {"b": "text", "a": [1, None]}
        assert found.load_metadata(["host"]) == {"host": "node-3"}
        assert b"".join(found.follow_log("task", "stdout")) == b"one " + b"two" * 10_000
        [(uri, _)] = flow.save_data([b"content"])
        if kind != "memory":
            shown = subprocess.run([COMMAND, "cat", uri], capture_output=True, check=True, timeout=60)
            assert shown.stdout == b"content"
