"""Row 1: kill -9 at a random moment of saving; what was acknowledged is there, nothing is left over."""

from __future__ import annotations

import random
import time
from bisect import insort
from pathlib import Path

from tests.torture.nest import Job, Nest
from tests.torture.oracle import Claims
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder

ROUNDS_PER_STORE = 12
BATCHES_PER_ROUND = 6


def run(name: str, *, rounds: int, seed: int = 1) -> Outcome:
    """Kill `rounds` writers, every third beside a writer that lives on."""
    outcome = Outcome(1)
    dice = random.Random(f"kill {seed}")
    aim = Aim(dice)
    with outcome.timed(), Nest() as nest:
        while outcome.rounds < rounds and not outcome.hopeless:
            with scratch_folder() as folder:
                _one_store(nest, name, folder / "store", dice, aim, outcome, rounds)
    return outcome


def _one_store(nest: Nest, name: str, path: Path, dice: random.Random, aim: Aim, outcome: Outcome, rounds: int) -> None:
    claims, beside = Claims(dice.randrange(1 << 30)), Claims(dice.randrange(1 << 30))
    for number in range(ROUNDS_PER_STORE):
        if outcome.rounds >= rounds or outcome.hopeless:
            return
        first = number * BATCHES_PER_ROUND
        numbers = list(range(first, first + BATCHES_PER_ROUND))
        with nest.job("tests.torture.jobs:write", name, str(path), claims.seed, numbers) as writer:
            if number % 3 == 2:
                with nest.job("tests.torture.jobs:write", name, str(path), beside.seed, numbers) as other:
                    aim.kill(writer, claims)
                    other.wait()
                beside.hear(other.lines)
                outcome.blame(f"store {claims.seed}, the writer that lives", other.failures)
            else:
                aim.kill(writer, claims)
            outcome.blame(f"store {claims.seed}, the writer before its death", writer.failures)
        claims.hear(writer.lines)
        outcome.rounds += 1
        # The last rounds each time, everything when the store has seen its last writer.
        since = 0 if number == ROUNDS_PER_STORE - 1 else first - BATCHES_PER_ROUND
        both = [claims.to_json(since), beside.to_json(since)]
        outcome.blame(f"store {claims.seed}, round {number}", nest.check(name, path, both))


class Aim:
    """Kills while a batch is in flight: a batch is chosen, then a moment within what its kind took so far."""

    def __init__(self, dice: random.Random) -> None:
        self._dice = dice
        self._took: dict[str, list[float]] = {}

    def kill(self, writer: Job, claims: Claims) -> None:
        """Wait for the moment, then kill."""
        target = self._dice.randrange(BATCHES_PER_ROUND)
        while sum("begin" in line for line in writer.lines) <= target and writer.pump(1.0):
            pass
        begun = [line["begin"] for line in writer.lines if "begin" in line]
        known = self._took.get(claims.kind(begun[-1]), []) if begun else []
        time.sleep(self._dice.random() * (1.1 * known[len(known) // 2] if known else 0.02))
        writer.kill()
        for line in writer.lines:
            if "took" in line:
                insort(self._took.setdefault(claims.kind(line["ack"]), []), line["took"])
