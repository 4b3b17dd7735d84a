"""Run rows and tell what was lost: `python -m tests.torture [ROW …] [--full | --short | --rounds N] [--store NAME]`."""

from __future__ import annotations

import argparse
import os
import sys

from tests.torture.rows import ROWS, row


def main(arguments: list[str] | None = None) -> int:
    """Run the rows; 1 when something was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.torture", description=__doc__)
    parser.add_argument("rows", nargs="*", help="titles or numbers; all when none is given")
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("FULL")), help="full counts")
    parser.add_argument("--short", action="store_true", help="the counts of `make test`")
    parser.add_argument("--rounds", type=int, help="this many; 0 for all there are")
    parser.add_argument("--seed", type=int, help="another seed")
    parser.add_argument("--store", default="packhouse", help="`packhouse`, or `naive:bug,bug`")
    chosen = parser.parse_args(arguments)
    failed = False
    for one in [row(title) for title in chosen.rows] or ROWS:
        rounds = one.full if chosen.full else one.short if chosen.short else one.card
        extra = {} if chosen.seed is None else {"seed": chosen.seed}
        outcome = one.run(chosen.store, rounds=rounds if chosen.rounds is None else chosen.rounds, **extra)
        print(
            f"row {one.number} ({one.title}): {outcome.verdict}, {outcome.rounds} {one.unit}, {outcome.seconds:.1f} s"
        )
        if outcome.not_run is not None:
            print(f"  NOT RUN: {outcome.not_run}")
        for note in outcome.notes + outcome.left_out:
            print(f"  {note}")
        for violation in outcome.violations:
            print(f"  VIOLATED: {violation}")
        sys.stdout.flush()
        failed |= bool(outcome.violations)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
