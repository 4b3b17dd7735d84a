"""A flow that is killed at random moments and resumed: what its tasks had acknowledged is there, in every mode."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import packhouse.sync
from packhouse.compat.metaflow.verify import verify_datastore
from packhouse.sync.tasks import FlowDataStore
from tests.metaflow.worlds import FLOWS, World, packed

_WIDTH = ("--max-workers", "2")
_LONGEST = 300.0
_GROWTH = 1.15
"""Each kill of a flow may come so many times later than the one before: on a slow machine, too, it gets somewhere."""
_SECONDS = 9.0
"""A kill comes within these many seconds until a flow of four has shown how long it takes here."""


def rounds(kind: str, place: Path, kills: int, seed: int) -> Iterator[World]:
    """Kill so many flows, each again and again until it ends by itself; yield each world that ended well.

    Raises:
        AssertionError: something acknowledged is lost or damaged.
    """
    dice = random.Random(seed)
    done = number = 0
    usual = _SECONDS
    while done < kills:
        folder = place / str(number)
        world = packed(folder) if kind == "packhouse" else World(folder)
        world.folder.mkdir(parents=True)
        number += 1
        began = time.monotonic()
        arguments: tuple[str, ...] = ("run", "--width", "4", *_WIDTH)
        seen: dict[str, set[str]] = {}
        longest = usual
        while not _ends(world, arguments, dice.uniform(0.5, longest) if done < kills else _LONGEST):
            done += 1
            longest *= _GROWTH
            check(kind, world, seen)
            run = _newest_begun(kind, world)
            if run is not None and dice.randrange(3):
                # By its number: it takes the last one otherwise, and resumes none that was killed before it wrote.
                arguments = ("resume", "--origin-run-id", run, *_WIDTH)
            if time.monotonic() - began > _LONGEST:
                raise AssertionError(f"{kind}, round {number}: it never ends")
        if longest == usual:
            usual = time.monotonic() - began
        check(kind, world, seen)
        yield world


def check(kind: str, world: World, seen: dict[str, set[str]]) -> None:
    """Read everything that a task which is done ever had; what was there before is there still.

    Args:
        kind: the mode.
        world: after a kill.
        seen: what was found after earlier kills: task → keys; brought up to date.
    """
    found = _done_tasks(kind, world)
    for task, keys in seen.items():
        assert keys <= found.get(task, set()), f"{task} was done, and artifacts of it are gone"
    seen.update(found)
    if kind == "packhouse":
        if (world.folder / ".packhouse" / "store.json").exists():
            with packhouse.sync.open(world.folder / ".packhouse", mode="r") as store:
                wanted = {key for keys in found.values() for key in keys}
                assert {key for key, _ in store.load_blobs(wanted)} == wanted
                assert not store.verify().findings
    elif found:
        assert verify_datastore(str(world.folder)).hurt == []


def _done_tasks(kind: str, world: World) -> dict[str, set[str]]:
    if kind == "packhouse":
        root = world.folder / ".packhouse"
        if not (root / "store.json").exists():
            return {}
        with FlowDataStore("Wide", ds_root=root) as flow:
            runs = {name.split("/")[3] for name in flow.store.names.list("tasks/state/Wide/")}
            tasks = [task for run in runs for task in flow.get_latest_task_datastores(run)]
            return {task.pathspec: {key for _, key in task.items()} for task in tasks}
    done = {}
    for marker in world.root.glob("Wide/*/*/*/*.DONE.lock"):
        record: Any = json.loads(marker.with_name(marker.name.replace("DONE.lock", "data.json")).read_bytes())
        done[str(marker)] = set(record["objects"].values())
    return done


def _newest_begun(kind: str, world: World) -> str | None:
    """The last run whose first step is done."""
    begun = {task.partition("/start/")[0].rpartition("/")[2] for task in _done_tasks(kind, world) if "/start/" in task}
    return max(begun, key=int, default=None)


def _ends(world: World, arguments: tuple[str, ...], moment: float) -> bool:
    """Run a flow and kill all of its processes after so many seconds; whether it had ended by itself.

    Raises:
        AssertionError: it ended by itself, and not well.
    """
    process = world.start(str(FLOWS / "wide.py"), "--no-pylint", *arguments)
    try:
        said = process.communicate(timeout=moment)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return False
    assert process.returncode == 0, f"{arguments} ended with {process.returncode}: {said}"
    return True
