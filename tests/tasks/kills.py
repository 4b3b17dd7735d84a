"""Writers of tasks, killed at random moments: what one of them was told is done is there, and whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from packhouse.sync.tasks import FlowDataStore

WRITER = """
import random, sys
from packhouse.sync.tasks import FlowDataStore
root, name, seed = sys.argv[1:]
dice = random.Random(int(seed))
with FlowDataStore("Flow", ds_root=root) as flow:
    for number in range(1000):
        task = f"{name}-{seed}-{number}"
        store = flow.get_task_datastore("1", "step", task, attempt=0, mode="w")
        store.init_task()
        own = dice.randbytes(dice.randrange(200_000))
        store.save_artifacts([("id", task), ("own", own), ("shared", b"s" * 50_000)])
        store.save_artifacts([("length", len(task))])
        store.done()
        print(task, flush=True)
"""


def rounds(root: Path, count: int, seed: int) -> int:
    """Kill two writers on one root so often; return how many tasks were acknowledged.

    Raises:
        AssertionError: an acknowledged task is gone, or a task that counts as done lacks something.
    """
    dice = random.Random(seed)
    acknowledged: set[str] = set()
    for number in range(count):
        acknowledged |= _killed(root, f"{seed}{number}", dice.uniform(0.3, 1.5))
        with FlowDataStore("Flow", ds_root=root) as flow:
            found = {task.task_id: task for task in flow.get_latest_task_datastores("1")}
            assert acknowledged <= found.keys(), "a task whose done had returned is not done"
            for name, task in found.items():
                values = task.to_dict()
                assert values.keys() == {"id", "own", "shared", "length"}
                assert (values["id"], values["length"], values["shared"]) == (name, len(name), b"s" * 50_000)
            assert not flow.store.verify().findings
    return len(acknowledged)


def _killed(root: Path, seed: str, moment: float) -> set[str]:
    """Start two writers and kill both, some time after the first of them has written a task."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, str(root), name, seed], stdout=subprocess.PIPE, text=True, env=environment
        )
        for name in ("a", "b")
    ]
    first = writers[0].stdout
    assert first is not None
    told = [first.readline()]
    time.sleep(moment)
    for writer in writers:
        writer.send_signal(signal.SIGKILL)
    for writer in writers:
        told += writer.communicate()[0].splitlines(keepends=True)
        assert writer.returncode == -signal.SIGKILL
    return {line.strip() for line in told if line.endswith("\n")}
