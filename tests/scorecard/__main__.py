"""`python -m tests.scorecard [--full] [--write] [ROW …]`: run the rows, print the table; 1 when a row failed."""

from __future__ import annotations

import argparse
import os
import sys

from rich.console import Console

from tests.mutants.row import MUTANTS
from tests.scorecard.table import Line, show, write
from tests.torture.nest import ROOT
from tests.torture.rows import ROWS


def main(arguments: list[str] | None = None) -> int:
    """Run, print, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.scorecard", description=__doc__)
    parser.add_argument("rows", nargs="*", help="titles or numbers; all when none is given")
    parser.add_argument("--full", action="store_true", default=bool(os.environ.get("FULL")), help="full counts")
    parser.add_argument("--short", action="store_true", help="the counts of `make test`")
    parser.add_argument("--write", action="store_true", help="write the table into README.md")
    parser.add_argument("--store", default="packhouse", help="another store, to try the harnesses")
    chosen = parser.parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 160)
    lines: list[Line] = []
    for row in (*ROWS, MUTANTS):
        if chosen.rows and row.title not in chosen.rows and str(row.number) not in chosen.rows:
            continue
        console.print(f"row {row.number}: {row.measure} …", style="dim")
        rounds = row.full if chosen.full else row.short if chosen.short else row.card
        lines.append(Line(row, row.run(chosen.store, rounds=rounds)))
    show(console, lines)
    if chosen.write:
        write(ROOT / "README.md", lines)
    return int(any(line.outcome.violations for line in lines))


if __name__ == "__main__":
    sys.exit(main())
