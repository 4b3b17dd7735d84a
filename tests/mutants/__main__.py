"""`python -m tests.mutants [NAME …]`: build once, check that all is well unplanted, then plant each bug."""

from __future__ import annotations

import sys

from tests.mutants import build
from tests.mutants.planted import ALL, Hunt
from tests.mutants.row import found, run

ALONE = "gap"
"""Whatever runs beside this row holds the event loop up, too."""


def main(names: list[str]) -> int:
    """Hunt; 1 when a bug was not found, or when a harness fails without one."""
    if (why := build.why_not()) is not None:
        print(f"NOT RUN: {why}")
        return 1
    build.build()
    wrong = 0 if names else _unplanted()
    outcome = run("packhouse", rounds=0, only=frozenset(names))
    for note in outcome.notes:
        print(note)
    for violation in outcome.violations:
        print(f"VIOLATED: {violation}")
    return int(bool(outcome.violations) or wrong > 0)


def _unplanted() -> int:
    """Carry out every hunt without a bug, each row as often as it is for any; how many failed."""
    longest: dict[tuple[str, str, str], Hunt] = {}
    for hunt in sorted((hunt for one in ALL for hunt in one.hunts), key=lambda hunt: hunt.rounds or sys.maxsize):
        longest[hunt.row, hunt.engine, hunt.tests] = hunt
    alone = [hunt for hunt in longest.values() if hunt.row == ALONE]
    others = [hunt for hunt in longest.values() if hunt.row != ALONE]
    wrong = 0
    for group, results in (
        (alone, map(_without, alone)),
        (others, build.side_by_side(_without, others)),
    ):
        for hunt, said in zip(group, results, strict=True):
            what = f"{hunt.row} {hunt.rounds}" if hunt.row else hunt.tests or f"the engine's tests of {hunt.engine}"
            print(f"  unplanted, {what}: {f'FAILS: {said}' if said else 'nothing found, as it should be'}", flush=True)
            wrong += bool(said)
    return wrong


def _without(hunt: Hunt) -> str:
    return found(hunt, "")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
