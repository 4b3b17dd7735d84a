"""Row 20: every planted bug is found."""

from __future__ import annotations

import subprocess

from tests.mutants import build
from tests.mutants.planted import ALL, Hunt, Mutant
from tests.torture.outcome import Outcome
from tests.torture.rows import Row


def run(name: str, *, rounds: int, seed: int = 20, only: frozenset[str] = frozenset()) -> Outcome:
    """Plant `rounds` bugs one after the other (0: all); a bug that no harness finds is a violation."""
    del seed
    outcome = Outcome(20)
    if rounds < 0:
        outcome.not_run = "it takes a quarter of an hour: `make mutants`, or FULL=1"
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
        outcome.violations += [f"{one.name} is not planted in the sources" for one in chosen if one.name not in planted]
        chosen = [one for one in chosen if one.name in planted]
        for mutant, by in zip(chosen, build.side_by_side(_hunt, chosen), strict=True):
            outcome.rounds += 1
            print(f"  {mutant.name}: {f'found by {by}' if by else 'NOT FOUND'}", flush=True)
            caught += bool(by)
            if not by:
                outcome.violations.append(f"{mutant.name} ({mutant.what}) was not found")
    outcome.notes.insert(0, f"{caught} of {outcome.rounds} found")
    return outcome


def found(hunt: Hunt, mutant: str) -> str:
    """Carry a hunt out with a bug planted, or with none (""); what failed, empty when nothing did."""
    if hunt.row:
        failed, said = build.row_fails(mutant, hunt.row, hunt.rounds)
        return f"{hunt.row}: {said}" if failed else ""
    if hunt.tests:
        return hunt.tests if build.tests_fail(mutant, hunt.tests) else ""
    return f"the engine's tests of {hunt.engine}" if build.engine_tests(mutant, hunt.engine) else ""


def _hunt(mutant: Mutant) -> str:
    """What found it; empty when nothing did."""
    return next(filter(None, (found(hunt, mutant.name) for hunt in mutant.hunts)), "")


MUTANTS = Row(20, "mutants", "planted bugs, each found by a harness", "20 of 20", run, -1, -1, 0, "bugs")
