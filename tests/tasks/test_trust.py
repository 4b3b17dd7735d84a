"""No file of a stranger runs code when it is loaded, and the harness that says so finds one that does."""

from __future__ import annotations

from tests.torture import trust


def test_no_attack_file_runs_code_through_any_door() -> None:
    outcome = trust.run("packhouse", rounds=0)
    assert outcome.violations == []
    assert outcome.rounds >= 50


def test_the_harness_sees_code_that_runs() -> None:
    assert trust.run("naive:trusting", rounds=12).violations
