"""What a row of the scorecard found."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

LEFT_OUT = "left out"
"""The property of a test that says what of its row was not done; the summary of a run has a line for each."""
ENOUGH = 20
"""After this many violations a row stops: more of the same help nobody."""


@dataclass
class Outcome:
    """The result of one row: rounds done, what went wrong, or why it did not run."""

    row: int
    rounds: int = 0
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0
    not_run: str | None = None
    notes: list[str] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """What of the row this machine could not do, and why: told wherever the row is."""

    @property
    def verdict(self) -> str:
        """One word: `passed`, `FAILED` or `not run`."""
        if self.violations:
            return "FAILED"
        return "not run" if self.not_run is not None else "passed"

    @property
    def hopeless(self) -> bool:
        """Whether enough went wrong to stop."""
        return len(self.violations) >= ENOUGH

    def blame(self, where: str, violations: list[str]) -> None:
        """Add violations, each with where it happened."""
        self.violations.extend(f"{where}: {violation}" for violation in violations)

    @contextmanager
    def timed(self) -> Iterator[Outcome]:
        """Count the seconds spent inside."""
        start = time.monotonic()
        try:
            yield self
        finally:
            self.seconds += time.monotonic() - start
