"""Flow and task datastores do what Metaflow's do, except where `docs/tasks-differences.md` says otherwise."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tests.tasks.candidate import ours, ours_async, stock
from tests.tasks.scenarios import SCENARIOS, Scenario

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("metaflow")

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tasks-differences.md"


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::ResourceWarning")
def test_conforms(scenario: Scenario, tmp_path: Path) -> None:
    with stock(tmp_path / "stock") as theirs:
        expected = scenario.run(theirs)
    for make in (ours, ours_async):
        with make(tmp_path / make.__name__) as candidate:
            seen = scenario.run(candidate)
        if scenario.ours is None:
            assert seen == expected, make.__name__
        else:
            assert seen == scenario.ours, make.__name__
            assert expected != scenario.ours, "no difference any more: move it to those that agree"


def test_every_deliberate_difference_is_on_its_page() -> None:
    text = PAGE.read_text("utf-8")
    for scenario in SCENARIOS:
        assert (f"`{scenario.name}`" in text) == (scenario.ours is not None), scenario.name
