"""Every harness finds the bug it is there for: a naive store with that bug fails it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.torture import cancel, faults, flips, gap, heal, hostile, kill, machine, memory, power, race, syscalls, trust
from tests.torture.outcome import Outcome

# These rounds load a machine and read its clock: `make torture`, not `make test`.
pytestmark = pytest.mark.torture

PLANTED: list[tuple[str, Callable[[str], Outcome]]] = [
    ("each_alone", lambda store: kill.run(store, rounds=24)),
    ("early_ack", lambda store: kill.run(store, rounds=12)),
    ("no_cleanup", lambda store: kill.run(store, rounds=12)),
    ("in_place", lambda store: syscalls.run(store, rounds=0, kinds=("names",))),
    ("no_fsync", lambda store: power.run(store, rounds=20, kinds=("ext4",))),
    ("no_dir_sync", lambda store: power.run(store, rounds=20, kinds=("ext4",))),
    ("existence", lambda store: heal.run(store, rounds=30)),
    ("no_read_check", lambda store: flips.run(store, rounds=300)),
    ("shallow_verify", lambda store: flips.run(store, rounds=300)),
    ("swallow", lambda store: faults.run(store, rounds=12)),
    ("sync_retried", lambda store: faults.run_sync(store, rounds=6)),
    ("no_read_check", lambda store: machine.run(store, rounds=30)),
    ("no_lock", lambda store: race.run(store, rounds=12)),
    ("abandon", lambda store: cancel.run(store, rounds=8, operations=("save mixed",))),
    ("leak_descriptor", lambda store: cancel.run(store, rounds=2, operations=("stream",), only=("scope",))),
    ("raw_names", lambda store: hostile.run(store, rounds=200)),
    ("trusting", lambda store: trust.run(store, rounds=0)),
    ("blocking", lambda store: gap.run(store, rounds=4)),
    ("slurp", lambda store: memory.run(store, rounds=160)),
]


def _harness(run: Callable[[str], Outcome]) -> str:
    return next(name for name in run.__code__.co_names if name not in ("run", "run_sync"))


@pytest.mark.parametrize(("bug", "run"), PLANTED, ids=[f"{_harness(run)}-{bug}" for bug, run in PLANTED])
def test_the_harness_finds_the_planted_bug(bug: str, run: Callable[[str], Outcome]) -> None:
    outcome = run(f"naive:{bug}")
    if outcome.not_run is not None:
        pytest.skip(f"NOT RUN: {outcome.not_run}")
    assert outcome.violations, "the planted bug was not found"


SOUND: list[Callable[[str], Outcome]] = [
    lambda store: kill.run(store, rounds=24),
    lambda store: syscalls.run(store, rounds=36),
    lambda store: power.run(store, rounds=10),
    lambda store: heal.run(store, rounds=30),
    lambda store: flips.run(store, rounds=300),
    lambda store: faults.run(store, rounds=24),
    lambda store: faults.run_sync(store, rounds=9),
    lambda store: machine.run(store, rounds=20),
    lambda store: race.run(store, rounds=12),
    lambda store: cancel.run(store, rounds=72),
    lambda store: memory.run(store, rounds=160),
]


@pytest.mark.torture
@pytest.mark.parametrize("run", SOUND, ids=[_harness(run) for run in SOUND])
def test_the_harness_does_not_cry_wolf(run: Callable[[str], Outcome]) -> None:
    outcome = run("naive")
    if outcome.not_run is not None:
        pytest.skip(f"NOT RUN: {outcome.not_run}")
    assert not outcome.violations
