"""The outcomes of a run, asked by case, variant, peer and metric; as JSON."""

from __future__ import annotations

import json
import statistics
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from benches import peers
from benches.task import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence
    from pathlib import Path


@dataclass(frozen=True)
class Spread:
    """The rounds of one figure: the median and the extremes."""

    median: float
    low: float
    high: float
    rounds: int

    def extremes(self, digits: int = 0) -> str:
        """Tell the lowest and the highest, to stand behind the median; nothing of a single round."""
        return "" if self.rounds == 1 else f" ({self.low:,.{digits}f}–{self.high:,.{digits}f})"


@dataclass(frozen=True)
class Results:
    """A run: what was measured, on what machine, with which packages."""

    scale: str
    machine: dict[str, str | int | float]
    packages: dict[str, str]
    absent: dict[str, str]
    outcomes: Sequence[Outcome]

    def rounds(self, case: str, variant: str, peer: str, metric: str) -> dict[int, float]:
        """Tell a figure round by round."""
        return {
            outcome.task.round: outcome.metrics[metric]
            for outcome in self.outcomes
            if (outcome.task.case, outcome.task.variant, outcome.task.peer) == (case, variant, peer)
            and metric in outcome.metrics
        }

    def spread(self, case: str, variant: str, peer: str, metric: str) -> Spread | None:
        """Tell the median and the extremes of a figure, or None where it was not measured."""
        values = self.rounds(case, variant, peer, metric).values()
        if not values:
            return None
        return Spread(statistics.median(values), min(values), max(values), len(values))

    def median(self, case: str, variant: str, peer: str, metric: str) -> float | None:
        """Tell the median of a figure, or None."""
        spread = self.spread(case, variant, peer, metric)
        return None if spread is None else spread.median

    def ratio(self, case: str, variant: str, peer: tuple[str, str], other: tuple[str, str]) -> float | None:
        """Set one peer's metric in relation to another's: the median over the rounds that both took part in.

        Rounds are compared pairwise, because the machine's own speed drifts between them. Without a common round the
        medians are compared.
        """
        mine, theirs = self.rounds(case, variant, *peer), self.rounds(case, variant, *other)
        common = [mine[number] / theirs[number] for number in mine if theirs.get(number)]
        return statistics.median(common) if common else None

    def variants(self, case: str) -> list[str]:
        """Name the variants of a case that ran, in order."""
        return list(dict.fromkeys(outcome.task.variant for outcome in self.outcomes if outcome.task.case == case))

    def peers(self, case: str, variant: str) -> list[str]:
        """Name who took part in a variant, in order, without the machine."""
        tasks = [outcome.task for outcome in self.outcomes]
        found = dict.fromkeys(task.peer for task in tasks if (task.case, task.variant) == (case, variant))
        return [peer for peer in found if peer != peers.MACHINE]

    def error(self, case: str, variant: str, peer: str) -> str | None:
        """Tell why a peer has no figures, or None."""
        wanted = (case, variant, peer)
        for outcome in self.outcomes:
            if (outcome.task.case, outcome.task.variant, outcome.task.peer) == wanted and outcome.error:
                return outcome.error
        return None

    def best_peer(self, case: str, variant: str, metric: str) -> str | None:
        """Name the peer, ours apart, with the highest median."""
        others = [peer for peer in self.peers(case, variant) if peer != peers.OURS]
        found = {peer: median for peer in others if (median := self.median(case, variant, peer, metric)) is not None}
        return max(found, key=found.__getitem__) if found else None

    def of(self, cases: Collection[str]) -> Results:
        """Return the same run with some of its cases."""
        return replace(self, outcomes=[outcome for outcome in self.outcomes if outcome.task.case in cases])

    def write(self, path: Path) -> None:
        """Write the raw results, without the folders of the machine they were measured on."""
        path.parent.mkdir(parents=True, exist_ok=True)
        told = asdict(self)
        for outcome in told["outcomes"]:
            outcome["task"]["folder"] = ""
        path.write_text(json.dumps(told, indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        """Read what `write` wrote."""
        told: dict[str, Any] = json.loads(path.read_text())
        outcomes = [Outcome(**{**outcome, "task": Task(**outcome["task"])}) for outcome in told.pop("outcomes")]
        return cls(**told, outcomes=outcomes)
