"""Real flows, with the drop-in, without it and mixed: nobody notices but by the clock."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from packhouse.compat.metaflow.verify import verify_datastore
from tests.metaflow.worlds import EVERYTHING, HUNDRED, World, lean, oldest, stock

pytestmark = pytest.mark.timeout(300)


def _check(folder: Path, flow: str, tasks: int) -> None:
    """Everything of a flow is read alike with the drop-in and by a stock client, and every blob verifies."""
    ours, theirs = World(folder).ask(EVERYTHING % flow), stock(folder).ask(EVERYTHING % flow)
    assert ours == theirs
    assert len(ours) == tasks
    assert all(task["successful"] for task in ours.values())
    assert verify_datastore(str(folder)).hurt == []


def _troubled_ended_well(folder: Path) -> None:
    told = World(folder).ask(
        """
import json
from metaflow import Flow, namespace
from metaflow.cards import get_cards
namespace(None)
run = Flow("Troubled").latest_run
print(json.dumps({
    "successful": run.successful,
    "table": run["end"].task.data.table,
    "cards": len(list(get_cards(run["join"].task))),
}))
"""
    )
    assert told["successful"]
    assert told["table"] == "a,b\n1,2\n"
    assert told["cards"] == 1
    assert verify_datastore(str(folder)).hurt == []
    assert stock(folder).ask(EVERYTHING % "Troubled") == World(folder).ask(EVERYTHING % "Troubled")


def _off(folder: Path) -> World:
    return World(folder, drop_in=False)


def _oldest_off(folder: Path) -> World:
    return oldest(folder, drop_in=False)


@pytest.mark.parametrize("drop_in", [True, False], ids=["on", "off"])
def test_a_stock_client_reads_every_artifact(tmp_path: Path, drop_in: bool) -> None:
    World(tmp_path, drop_in=drop_in).flow("linear")
    _check(tmp_path, "Linear", 3)
    beside = list((tmp_path / ".metaflow/Linear/data").rglob("*_meta"))
    assert bool(beside) != drop_in, "the drop-in keeps one file per key, stock two"


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(World, stock, id="on, joined again by stock"),
        pytest.param(stock, World, id="off, joined again by the drop-in"),
        pytest.param(oldest, _oldest_off, id="on, joined again by stock, with the oldest Metaflow"),
        pytest.param(_oldest_off, oldest, id="off, joined again by the drop-in, with the oldest Metaflow"),
    ],
)
def test_a_foreach_of_a_hundred_tasks_ends_well_and_is_joined_again_by_the_other_writer(
    tmp_path: Path, first: Callable[[Path], World], second: Callable[[Path], World]
) -> None:
    # One hundred processes for both: it runs to its end, is resumed at its join, breaks there, and the other ends it.
    world = lean(first(tmp_path))
    world.flow("wide", "run", *HUNDRED)
    _check(tmp_path, "Wide", 103)
    broken = replace(world, extra=world.extra | {"WIDE_BREAK": "1"})
    assert "broken on request" in broken.flow("wide", "resume", "join", *HUNDRED, fails=True)
    second(tmp_path).flow("wide", "resume", *HUNDRED)
    seen = World(tmp_path).ask(EVERYTHING % "Wide")
    assert seen == stock(tmp_path).ask(EVERYTHING % "Wide")
    assert [task["successful"] for task in seen.values()].count(True) == 103 + 101 + 103
    assert verify_datastore(str(tmp_path)).hurt == []


@pytest.mark.parametrize(
    ("first", "second"),
    [
        pytest.param(World, stock, id="on, resumed by stock"),
        pytest.param(_off, World, id="off, resumed by the drop-in"),
        pytest.param(oldest, _oldest_off, id="on, resumed by stock, with the oldest Metaflow"),
        pytest.param(_oldest_off, oldest, id="off, resumed by the drop-in, with the oldest Metaflow"),
    ],
)
def test_retries_catch_cards_files_and_a_resume_by_the_other_writer(
    tmp_path: Path, first: Callable[[Path], World], second: Callable[[Path], World]
) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    extra = {"TROUBLED_TABLE": str(tmp_path / "table.csv")}
    broken = replace(first(tmp_path), extra={**extra, "TROUBLED_BREAK": "1"})
    assert "broken on request" in broken.flow("troubled", fails=True)
    replace(second(tmp_path), extra=extra).flow("troubled", "resume")
    _troubled_ended_well(tmp_path)


@pytest.mark.parametrize(
    "world",
    [
        pytest.param(World, id="on"),
        pytest.param(_off, id="off"),
        pytest.param(oldest, id="on, with the oldest Metaflow"),
        pytest.param(_oldest_off, id="off, with the oldest Metaflow"),
    ],
)
def test_branches_retries_catch_cards_and_files_run_to_their_end_with_one_writer_alone(
    tmp_path: Path, world: Callable[[Path], World]
) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    replace(world(tmp_path), extra={"TROUBLED_TABLE": str(tmp_path / "table.csv")}).flow("troubled")
    _troubled_ended_well(tmp_path)


def test_stock_runs_a_step_of_a_run_that_the_drop_in_began(tmp_path: Path) -> None:
    """As a remote image without the plug-in does: the step is run by another environment on the same datastore."""
    world = World(tmp_path)
    world.flow("linear")
    head = "import json\nfrom metaflow import Flow, namespace\nnamespace(None)\n"
    run, start = world.ask(head + "run = Flow('Linear').latest_run\nprint(json.dumps([run.id, run['start'].task.id]))")
    arguments = ("--run-id", run, "--task-id", "77", "--input-paths", f"{run}/start/{start}")
    stock(tmp_path).flow("linear", "step", "middle", *arguments)
    # `end` checks what it was handed.
    world.flow("linear", "step", "end", "--run-id", run, "--task-id", "78", "--input-paths", f"{run}/middle/77")
    assert verify_datastore(str(tmp_path)).hurt == []


def test_the_oldest_metaflow_that_is_supported_writes_what_the_newest_reads(tmp_path: Path) -> None:
    old = oldest(tmp_path)
    old.flow("linear")
    assert not list((tmp_path / ".metaflow/Linear/data").rglob("*_meta")), "the drop-in was not active"
    _check(tmp_path, "Linear", 3)
    old.flow("linear", "resume", "middle")
    _check(tmp_path, "Linear", 6)
