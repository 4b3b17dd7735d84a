"""`done` is durable and whole whenever a writer dies: short rounds here, a hundred in torture."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tasks.kills import rounds


def test_writers_that_are_killed_leave_whole_tasks(tmp_path: Path) -> None:
    assert rounds(tmp_path / "store", 4, seed=3) >= 4


@pytest.mark.torture
@pytest.mark.timeout(1800)
def test_writers_that_are_killed_a_hundred_times_leave_whole_tasks(tmp_path: Path) -> None:
    assert sum(rounds(tmp_path / str(number), 10, seed=number) for number in range(10)) >= 100
