"""Row 2: kill at every system call of every write path."""

from __future__ import annotations

import shutil
import signal
from pathlib import Path

from tests.torture import tracer
from tests.torture.nest import Nest
from tests.torture.oracle import Claims
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder
from tests.torture.workload import KINDS

BEFORE = 2
"""So many batches are in the store before the one that is killed."""


def run(name: str, *, rounds: int, seed: int = 2, kinds: tuple[str, ...] = KINDS) -> Outcome:
    """Kill at up to `rounds` points, shared out among the write paths. `rounds` 0 takes every point."""
    outcome = Outcome(2, not_run=tracer.why_not())
    if outcome.not_run is None:
        with outcome.timed(), Nest() as nest, scratch_folder() as folder:
            for kind in kinds:
                _path(nest, name, folder, kind, seed, outcome, most=-(-rounds // len(kinds)) if rounds else 1 << 30)
    return outcome


def _path(nest: Nest, name: str, folder: Path, kind: str, seed: int, outcome: Outcome, *, most: int) -> None:
    """One write path: list its calls once, then die at each of them."""
    kinds = ["again", "mixed", kind]
    start = folder / "start"
    shutil.rmtree(start, ignore_errors=True)
    nest.call("tests.torture.jobs:write", name, str(start), seed, list(range(BEFORE)), kinds)

    def attempt(calls: str, inject: str = "") -> Claims:
        path = folder / "store"
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(start, path)
        claims = Claims(seed, acked=list(range(BEFORE)), kinds=kinds)
        job_name = "tests.torture.jobs:write_on_signal"
        with nest.job(job_name, name, str(path), seed, [BEFORE, BEFORE + 3], kinds) as job:
            job.wait_for("ready")
            with tracer.traced(job, folder / "log", calls, inject):
                job.signal(signal.SIGUSR1)
                job.wait()
            claims.hear(job.lines)
        return claims

    attempt(tracer.CHANGING)
    everything = tracer.points(folder / "log", folder / "store")
    missed = 0
    for point in tracer.sample(everything, most):
        if outcome.hopeless:
            return
        claims = attempt(point.call, f"signal=KILL:when={point.n}")
        missed += BEFORE + 3 in claims.acked
        outcome.rounds += 1
        outcome.blame(f"{kind}, killed at {point}", nest.check(name, folder / "store", [claims.to_json()]))
    outcome.notes.append(f"{kind}: {len(everything)} points, {missed} not reached")
