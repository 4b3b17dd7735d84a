"""Real flows, with the drop-in, without it and mixed: nobody notices but by the clock."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.metaflow.worlds import EVERYTHING, World, stock


@pytest.mark.parametrize("drop_in", [True, False], ids=["on", "off"])
def test_a_stock_client_reads_every_artifact(tmp_path: Path, drop_in: bool) -> None:
    world = World(tmp_path, drop_in=drop_in)
    world.flow("linear")
    ours, theirs = world.ask(EVERYTHING % "Linear"), stock(tmp_path).ask(EVERYTHING % "Linear")
    assert ours == theirs
    assert len(ours) == 3
    assert all(task["successful"] for task in ours.values())
    beside = list((tmp_path / ".metaflow/Linear/data").rglob("*_meta"))
    assert bool(beside) != drop_in, "the drop-in keeps one file per key, stock two"
