"""The scorecard as a table: on the terminal, and in the README."""

from __future__ import annotations

import platform
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.torture.outcome import Outcome
from tests.torture.rows import Row

BEGIN, END = "<!-- scorecard:begin -->", "<!-- scorecard:end -->"
TELLING = (3, 6, 11, 18, 19, 20)
"""Rows whose first notes belong to the result: what was measured."""
COLOURS = {"passed": "green", "FAILED": "bold red", "not run": "yellow"}


@dataclass(frozen=True)
class Line:
    """One row with its outcome."""

    row: Row
    outcome: Outcome

    @property
    def rounds(self) -> str:
        """How much was done."""
        return f"{self.outcome.rounds:,} {self.row.unit}" if self.outcome.not_run is None else "–"

    @property
    def result(self) -> str:
        """One word and what belongs to it."""
        said = self.outcome.verdict
        if self.outcome.violations:
            return f"{said}: {len(self.outcome.violations)} violations"
        if self.outcome.not_run is not None:
            return f"{said}: {self.outcome.not_run}"
        notes = self.outcome.notes[:2] if self.row.number in TELLING else []
        return "; ".join([said, *notes, *self.outcome.left_out])


def show(console: Console, lines: list[Line]) -> None:
    """Print the table, then every violation."""
    table = Table(title="Reliability scorecard")
    for heading in ("#", "measure", "goal", "rounds", "result", "seconds"):
        table.add_column(heading, justify="right" if heading in ("#", "seconds") else "left")
    for line in lines:
        colour = COLOURS[line.outcome.verdict]
        result = f"[{colour}]{line.result.replace('[', '(')}[/]"
        seconds = f"{line.outcome.seconds:.0f}"
        table.add_row(str(line.row.number), line.row.measure, line.row.goal, line.rounds, result, seconds)
    console.print(table)
    for line in lines:
        for violation in line.outcome.violations:
            console.print(f"row {line.row.number}: {violation}", style="red", markup=False)


def markdown(lines: list[Line]) -> str:
    """The table for the README."""
    head = "| # | measure | goal | rounds | result |\n| --- | --- | --- | --- | --- |\n"
    body = "".join(
        f"| {line.row.number} | {line.row.measure} | {line.row.goal} | {line.rounds} | {line.result} |\n"
        for line in lines
    )
    kind = f"{platform.system()} {platform.release().split('-')[0]}, Python {platform.python_version()}"
    return f"{head}{body}\nRun on {time.strftime('%Y-%m-%d')}, {kind}, with `make scorecard`.\n"


def write(readme: Path, lines: list[Line]) -> None:
    """Replace what stands between the markers."""
    text = readme.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme.name} has no place for the scorecard: {BEGIN} … {END}")
    readme.write_text(f"{before}{BEGIN}\n{markdown(lines)}{END}{after}")
