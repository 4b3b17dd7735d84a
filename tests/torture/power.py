"""Row 3: the power goes at a random moment; what was acknowledged before is there, whole."""

from __future__ import annotations

import random
import time
from pathlib import Path

from tests.torture import loopdisk
from tests.torture.loopdisk import LOG_FLUSHED, LOG_LOST, LoopDisk
from tests.torture.nest import Nest
from tests.torture.oracle import Claims
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder

CUTS_PER_DISK = 10
BATCHES_PER_CUT = 8


def run(name: str, *, rounds: int, seed: int = 3, kinds: tuple[str, ...] = ("ext4", "xfs")) -> Outcome:
    """`rounds` cuts on ext4 and half as many on XFS."""
    outcome = Outcome(3)
    dice = random.Random(f"power {seed}")
    refused = []
    with outcome.timed(), Nest() as nest, scratch_folder() as folder:
        for kind in kinds:
            if (why := loopdisk.why_not(kind, folder)) is not None:
                refused.append(f"{kind}: {why}")
                continue
            share = rounds if kind == "ext4" else -(-rounds // 2)
            done = 0
            while done < share and not outcome.hopeless:
                with loopdisk.loop_disk(folder, kind) as disk:
                    done += _one_disk(nest, name, disk, dice, outcome, min(share - done, CUTS_PER_DISK))
            outcome.notes.append(f"{kind}: {done} cuts")
    if refused and outcome.rounds == 0:
        outcome.not_run = "; ".join(refused)
    else:
        outcome.left_out += [f"not run on {why}" for why in refused]
    return outcome


def _one_disk(nest: Nest, name: str, disk: LoopDisk, dice: random.Random, outcome: Outcome, cuts: int) -> int:
    claims = Claims(dice.randrange(1 << 30))
    path = disk.place / "some" / "folders" / "store"
    for number in range(cuts):
        if outcome.hopeless:
            return number
        flag = dice.choice((LOG_FLUSHED, LOG_LOST, LOG_LOST))
        first = number * BATCHES_PER_CUT
        failures = _write_and_cut(
            nest, name, disk, path, claims, list(range(first, first + BATCHES_PER_CUT)), flag, dice
        )
        outcome.rounds += 1
        where = f"{disk.kind}, disk {claims.seed}, cut {number}, log {'flushed' if flag == LOG_FLUSHED else 'lost'}"
        since = 0 if number == cuts - 1 else first - BATCHES_PER_CUT
        outcome.blame(where, failures + nest.check(name, path, [claims.to_json(since)]))
    return cuts


def _write_and_cut(
    nest: Nest,
    name: str,
    disk: LoopDisk,
    path: Path,
    claims: Claims,
    numbers: list[int],
    flag: int,
    dice: random.Random,
) -> list[str]:
    with nest.job("tests.torture.jobs:write", name, str(path), claims.seed, numbers) as writer:
        target = dice.randrange(BATCHES_PER_CUT)
        alive = True
        while alive and sum("begin" in line for line in writer.lines) <= target:
            alive = writer.pump(1.0)
        # Mostly within the next batch; sometimes after the journal has committed by itself.
        time.sleep(dice.uniform(0.5, 1.6) if dice.randrange(12) == 0 else dice.random() ** 2 * 0.05)
        writer.pump()
        claims.hear(writer.lines)  # only what was said before the cut counts
        said = len(writer.lines)
        failures = writer.failures
        disk.cut(flag)
        writer.kill()
        # What began after we looked may be anything: acknowledged after the cut counts as in flight.
        for line in writer.lines[said:]:
            if "begin" in line:
                claims.begun.append(line["begin"])
    disk.power_on()
    return failures
