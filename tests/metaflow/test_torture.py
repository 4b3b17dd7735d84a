"""A flow is killed at a random moment and resumed, again and again; nothing that a task had acknowledged is lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest

from packhouse.compat.metaflow.verify import verify_datastore
from tests.metaflow.stores import files
from tests.metaflow.worlds import FLOWS, World, stock

ROUNDS = int(os.environ.get("METAFLOW_KILLS", "100"))
_WIDTH = ["--max-workers", "2"]


def _kill_one(world: World, arguments: list[str], moment: float) -> bool:
    """Run a flow and kill all of its processes after so many seconds; whether it had ended well by itself."""
    process = world.start(str(FLOWS / "wide.py"), "--no-pylint", *arguments)
    try:
        process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False
    return process.returncode == 0


@pytest.mark.torture
def test_killed_flows_resume_and_lose_nothing(tmp_path: Path) -> None:
    kills = 0
    round_number = 0
    dice = random.Random(11)
    while kills < ROUNDS:
        world = World(tmp_path / str(round_number))
        world.folder.mkdir()
        round_number += 1
        began = time.monotonic()
        arguments = ["run", "--width", "4", *_WIDTH]
        while not _kill_one(world, arguments, dice.uniform(0.5, 9)):
            kills += 1
            if list(world.root.glob("Wide/*/_parameters/*/0.data.json")):
                assert verify_datastore(str(world.folder)).hurt == [], f"kill {kills}"
            if list(world.root.glob("Wide/*/start/*/0.DONE.lock")) and dice.randrange(3):
                arguments = ["resume", *_WIDTH]
            assert time.monotonic() - began < 300, "it never ends"
        assert verify_datastore(str(world.folder)).hurt == []
        # The next save clears away what killed writers left.
        left = [path for path in files(world.root / "Wide" / "data") if path.parts[-3] == "tmp"]
        stock(world.folder).flow("wide", "resume", *_WIDTH) if round_number % 10 == 0 else None
        world.flow("wide", "run", "--width", "2")
        assert not [path for path in left if path.exists()], "leftovers outlive the next writer"
