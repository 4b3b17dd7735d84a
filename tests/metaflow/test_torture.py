"""A flow is killed at a random moment and resumed, again and again; nothing that a task had acknowledged is lost."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.metaflow.kills import rounds
from tests.metaflow.stores import files
from tests.metaflow.worlds import World, stock

ROUNDS = int(os.environ.get("METAFLOW_KILLS", "100"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("kind", ["drop-in", "packhouse"])
def test_a_killed_flow_resumes_and_loses_nothing(tmp_path: Path, kind: str) -> None:
    assert list(rounds(kind, tmp_path, 1, seed=5))


@pytest.mark.torture
def test_killed_flows_resume_and_lose_nothing(tmp_path: Path) -> None:
    for number, world in enumerate(rounds("drop-in", tmp_path, ROUNDS, seed=11)):
        # The next save clears away what killed writers left.
        left = [path for path in files(world.root / "Wide" / "data") if path.parts[-3] == "tmp"]
        if number % 10 == 0:
            stock(world.folder).flow("wide", "resume", "--max-workers", "2")
        World(world.folder).flow("wide", "run", "--width", "2")
        assert not [path for path in left if path.exists()], "leftovers outlive the next writer"


@pytest.mark.torture
def test_killed_flows_in_a_packhouse_store_resume_and_lose_nothing(tmp_path: Path) -> None:
    for world in rounds("packhouse", tmp_path, ROUNDS, seed=12):
        world.flow("wide", "run", "--width", "2")
        assert not list((world.folder / ".packhouse" / "tmp").iterdir()), "leftovers outlive the next writer"
