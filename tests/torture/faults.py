"""Rows 6 and 7: system calls that fail, files that may not grow, a disk that is full.

The simulated disk fails at every operation of the engine; here the kernel's own answers are forged or forced.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.torture import tracer
from tests.torture.nest import JobFailed, Nest
from tests.torture.oracle import Claims
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder
from tests.torture.workload import KINDS

WRITING = "write,writev,pwrite64,pwritev,pwritev2,openat,linkat,link,rename,renameat,renameat2,ftruncate,fallocate"
SYNCING = "fsync,fdatasync,syncfs"
JOB = "tests.torture.jobs:attempt_on_signal"


def run(name: str, *, rounds: int, seed: int = 6) -> Outcome:
    """Row 6: EIO, ENOSPC and EINTR at system calls; RLIMIT_FSIZE; a full tmpfs."""
    outcome = Outcome(6)
    with outcome.timed(), Nest() as nest, scratch_folder() as folder:
        _small_files(nest, name, folder, outcome, seed, rounds=max(2, rounds // 10))
        _full_disk(nest, name, folder, outcome, seed, rounds=max(2, rounds // 10))
        if (why := tracer.why_not()) is not None:
            outcome.left_out.append(f"no forged errors: {why}")
        else:
            _forged(nest, name, folder, outcome, seed, rounds)
    return outcome


def run_sync(name: str, *, rounds: int, seed: int = 7) -> Outcome:
    """Row 7: a failed fsync is believed: no acknowledgement, no second try on the same descriptor."""
    outcome = Outcome(7, not_run=tracer.why_not())
    if outcome.not_run is None:
        with outcome.timed(), Nest() as nest, scratch_folder() as folder:
            for kind in ("small", "names", "stream"):
                _sync(nest, name, folder, outcome, seed, kind, most=max(1, rounds // 3))
    return outcome


def _forged(nest: Nest, name: str, folder: Path, outcome: Outcome, seed: int, rounds: int) -> None:
    errors = ("EIO", "ENOSPC", "EINTR")
    for kind in KINDS:
        _attempt(nest, name, folder, seed, kind, WRITING)
        everything = tracer.points(folder / "log", folder / "store")
        for number, point in enumerate(tracer.sample(everything, max(1, rounds // len(KINDS)))):
            if outcome.hopeless:
                return
            error = errors[number % 3]
            claims, foreign = _attempt(nest, name, folder, seed, kind, point.call, f"error={error}:when={point.n}")
            outcome.rounds += 1
            where = f"{kind}, {error} at {point}"
            outcome.blame(where, foreign + nest.check(name, folder / "store", [claims.to_json()]))


def _sync(nest: Nest, name: str, folder: Path, outcome: Outcome, seed: int, kind: str, most: int) -> None:
    _attempt(nest, name, folder, seed, kind, SYNCING)
    everything = tracer.points(folder / "log", folder / "store")
    for point in tracer.sample(everything, most):
        inject = f"error=EIO:when={point.n}"
        claims, foreign = _attempt(nest, name, folder, seed, kind, point.call, inject, watch=SYNCING + ",close")
        outcome.rounds += 1
        wrong = [] if kind == "again" else retried(tracer.calls_of(folder / "log"))
        failed = "INJECTED" in (folder / "log").read_text(errors="replace")
        if failed and 2 in claims.acked:
            wrong.append("the batch was acknowledged although a sync failed")
        wrong += foreign + nest.check(name, folder / "store", [claims.to_json()])
        outcome.blame(f"{kind}, failed {point}", wrong)


def retried(calls: list[tracer.Call]) -> list[str]:
    """Syncs of a descriptor on which one has failed already."""
    failed: set[str] = set()
    wrong = []
    for call in calls:
        if call.name == "close":
            failed.discard(call.descriptor)
        elif call.descriptor in failed:
            wrong.append(f"{call.name} again on {call.descriptor} after it failed")
        elif "INJECTED" in call.rest:
            failed.add(call.descriptor)
    return wrong


def _attempt(
    nest: Nest, name: str, folder: Path, seed: int, kind: str, calls: str, inject: str = "", watch: str = ""
) -> tuple[Claims, list[str]]:
    """Save two batches unharmed, then one under the tracer; the store object must stay usable or refuse."""
    path = folder / "store"
    shutil.rmtree(path, ignore_errors=True)
    kinds = ["again", "mixed", kind]
    nest.call("tests.torture.jobs:write", name, str(path), seed, [0, 1], kinds)
    claims = Claims(seed, acked=[0, 1], kinds=kinds)
    with nest.job(JOB, name, str(path), seed, [2], kinds) as job:
        job.wait_for("ready")
        with tracer.traced(job, folder / "log", calls, inject, watch):
            job.signal(signal.SIGUSR1)
            try:
                foreign: list[str] = job.result(60)
            except JobFailed as failure:
                foreign = [f"the writer failed with an exception of no known kind: {failure}"]
        claims.hear(job.lines)
    return claims, foreign


def _small_files(nest: Nest, name: str, folder: Path, outcome: Outcome, seed: int, rounds: int) -> None:
    """RLIMIT_FSIZE: a write falls short, the next one fails."""
    for number in range(rounds):
        path = folder / f"limited-{number}"
        claims = Claims(seed + number)
        limit = 1000 * 4**number % 3_000_000
        with nest.job("tests.torture.jobs:save_under_limit", name, str(path), claims.seed, [0, 1, 2, 3], limit) as job:
            foreign = job.result()
            claims.hear(job.lines)
        outcome.rounds += 1
        outcome.blame(f"files of at most {limit} bytes", foreign + nest.check(name, path, [claims.to_json()]))


def _full_disk(nest: Nest, name: str, folder: Path, outcome: Outcome, seed: int, rounds: int) -> None:
    """A tmpfs that fills up; when room is made the store goes on."""
    for number in range(rounds):
        with small_disk(folder / "full") as (why, disk):
            if why is not None:
                outcome.left_out.append(f"no full disk: {why}")
                return
            claims = Claims(seed + 100 + number, kinds=["again", "large", "mixed"])
            ballast = disk / "ballast"
            ballast.write_bytes(bytes((5 << 20) + number % 40 * 50_000))
            with nest.job(
                "tests.torture.jobs:save_all", name, str(disk / "store"), claims.seed, list(range(12)), claims.kinds
            ) as job:
                foreign = job.result()
                claims.hear(job.lines)
            if not (claims.refused or claims.begun):
                foreign = [*foreign, "the disk never got full"]
            ballast.unlink()
            outcome.rounds += 1
            outcome.blame("full disk", foreign + nest.check(name, disk / "store", [claims.to_json()]))


@contextmanager
def small_disk(where: Path, options: str = "size=8m") -> Iterator[tuple[str | None, Path]]:
    """A small tmpfs, or why there is none."""
    if os.geteuid() != 0:
        yield "not root", where
        return
    where.mkdir(exist_ok=True)
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", str(where)], capture_output=True, check=False)
    if done.returncode != 0:
        yield done.stderr.decode().strip(), where
        return
    try:
        yield None, where
    finally:
        subprocess.run(["umount", str(where)], check=True)
