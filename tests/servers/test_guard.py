"""Servers end with the tests that started them, also when these are killed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers.running import ROOT

STARTED = """
import sys, time
from tests.servers.running import guarded
with guarded("crash", lambda folder: ["sh", "-c", "sleep 600 & echo $$ $! > pids; wait"]) as (folder, process):
    while not (folder / "pids").exists() or not (folder / "pids").read_text().endswith("\\n"):
        time.sleep(0.02)
    print(folder, (folder / "pids").read_text(), flush=True)
    time.sleep(600)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_a_server_and_what_it_started_end_when_the_tests_are_killed() -> None:
    tests = subprocess.Popen([sys.executable, "-c", STARTED], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    with tests.stdout as told:
        folder, *servers = told.readline().split()
        assert all(Path(f"/proc/{server}").exists() for server in servers)
        tests.kill()
        tests.wait()
    end = time.monotonic() + 20
    while time.monotonic() < end and (Path(folder).exists() or any(_runs(server) for server in servers)):
        time.sleep(0.05)
    assert not [server for server in servers if _runs(server)], "a server outlived its tests"
    assert not Path(folder).exists(), "its folder was left"


def _runs(process: str) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
    except FileNotFoundError:
        return False
