"""`python -m tests.mutants [NAME …]`: build once, check that all is well unplanted, then plant each bug."""

from __future__ import annotations

import sys

from tests.mutants import build
from tests.mutants.planted import ALL
from tests.mutants.row import run


def main(names: list[str]) -> int:
    """Hunt; 1 when a bug was not found, or when a harness fails without one."""
    if (why := build.why_not()) is not None:
        print(f"NOT RUN: {why}")
        return 1
    build.build()
    wrong = 0
    for row, rounds in sorted({(hunt.row, hunt.rounds) for one in ALL for hunt in one.hunts if hunt.row and not names}):
        failed, said = build.row_fails("", row, rounds)
        print(f"  unplanted, {row} {rounds}: {said if failed else 'nothing found, as it should be'}", flush=True)
        wrong += failed
    for tests in sorted({hunt.tests for one in ALL for hunt in one.hunts if hunt.tests and not names}):
        failed = build.tests_fail("", tests)
        print(f"  unplanted, {tests}: {'FAILS' if failed else 'nothing found, as it should be'}", flush=True)
        wrong += failed
    for only in sorted({hunt.engine for one in ALL for hunt in one.hunts if hunt.engine and not names}):
        failed = build.engine_tests("", only)
        print(
            f"  unplanted, the engine's tests of {only}: {'FAILS' if failed else 'nothing found, as it should be'}",
            flush=True,
        )
        wrong += failed
    outcome = run("packhouse", rounds=0, only=frozenset(names))
    for note in outcome.notes:
        print(note)
    return int(bool(outcome.violations) or wrong > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
