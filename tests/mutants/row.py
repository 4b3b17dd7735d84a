"""Row 20: every planted bug is found."""

from __future__ import annotations

import subprocess

from tests.mutants import build
from tests.mutants.planted import ALL, Mutant
from tests.torture.outcome import Outcome
from tests.torture.rows import Row


def run(name: str, *, rounds: int, seed: int = 20, only: frozenset[str] = frozenset()) -> Outcome:
    """Plant `rounds` bugs one after the other (0: all); a bug that no harness finds is a violation."""
    del seed
    outcome = Outcome(20)
    if rounds < 0:
        outcome.not_run = "it takes half an hour: `make mutants`, or FULL=1"
        return outcome
    outcome.not_run = "bugs are planted in packhouse only" if name != "packhouse" else build.why_not()
    chosen = [mutant for mutant in ALL if not only or mutant.name in only][: rounds or None]
    if outcome.not_run is not None:
        return outcome
    with outcome.timed():
        try:
            build.build()
        except subprocess.CalledProcessError as error:
            outcome.violations.append(f"the build with planted bugs failed: {error}")
            return outcome
        planted = build.planted_names()
        caught = 0
        for mutant in chosen:
            if mutant.name not in planted:
                outcome.violations.append(f"{mutant.name} is not planted in the sources")
                continue
            outcome.rounds += 1
            by = _hunt(mutant)
            print(f"  {mutant.name}: {by or 'NOT FOUND'}", flush=True)
            caught += bool(by)
            if not by:
                outcome.violations.append(f"{mutant.name} ({mutant.what}) was not found")
    outcome.notes.insert(0, f"{caught} of {outcome.rounds} found")
    return outcome


def _hunt(mutant: Mutant) -> str:
    """What found it; empty when nothing did."""
    for hunt in mutant.hunts:
        if hunt.tests:
            if build.tests_fail(mutant.name, hunt.tests):
                return f"found by {hunt.tests}"
            continue
        if not hunt.row:
            if build.engine_tests(mutant.name, hunt.engine):
                return "found by the engine's tests"
            continue
        failed, said = build.row_fails(mutant.name, hunt.row, hunt.rounds)
        if failed:
            return f"found by {hunt.row}: {said}"
    return ""


MUTANTS = Row(20, "mutants", "planted bugs, each found by a harness", "20 of 20", run, -1, -1, 0, "bugs")
