"""The harness of row 15, which runs with the other promises, sees code that runs."""

from __future__ import annotations

from pathlib import Path

from tests.torture import trust
from tests.torture.attacks import attack_files


def test_the_harness_sees_code_that_runs() -> None:
    assert trust.run("naive:trusting", rounds=12).violations


def test_there_are_fifty_attack_files(tmp_path: Path) -> None:
    files = attack_files(tmp_path / "sentinel")
    assert len(files) == len(set(files.values())) >= 50
