"""Row 20 hunts bugs that exist."""

from __future__ import annotations

from tests.mutants.build import planted_names
from tests.mutants.planted import ALL


def test_no_bug_is_hunted_that_nobody_has_planted() -> None:
    assert {mutant.name for mutant in ALL} == planted_names()


def test_there_are_as_many_planted_bugs_as_the_scorecard_says() -> None:
    assert len(ALL) == len({mutant.name for mutant in ALL}) >= 20
