"""The rows of the scorecard that are run here: what is measured, the goal, how often, and by which harness."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.torture import (
    bucket_rows,
    cancel,
    faults,
    flips,
    fuzz,
    gap,
    heal,
    hostile,
    kill,
    machine,
    memory,
    power,
    race,
    remote,
    secrecy,
    syscalls,
    trust,
)
from tests.torture.outcome import Outcome


@dataclass(frozen=True)
class Row:
    """One row. Rounds: `short` for `make test`, `card` for the scorecard, `full`; 0 means all, -1: in Rust."""

    number: int
    title: str
    measure: str
    goal: str
    run: Callable[..., Outcome]
    short: int
    card: int
    full: int
    unit: str = "rounds"


ROWS = (
    Row(
        1, "kill", "kill -9 at a random moment of saving", "0 lost, 0 corrupt, 0 left over",
        kill.run, 18, 60, 1000, "kills",
    ),
    Row(
        2, "syscalls", "kill at every system call of every write path", "0 violations",
        syscalls.run, 18, 90, 0, "calls",
    ),
    Row(
        3, "power", "power loss on ext4 and XFS, by journal shutdown", "0 lost, 0 empty, 0 corrupt",
        power.run, 8, 30, 1000, "cuts",
    ),
    Row(4, "heal", "saving again after damage", "100 % healed", heal.run, 16, 80, 0, "damages"),
    Row(
        5, "flips", "every bit flipped, every truncation", "0 wrong bytes, 100 % found by verify",
        flips.run, 600, 6000, 0, "damages",
    ),
    Row(
        6, "faults", "EIO, ENOSPC, EINTR, short writes, a full disk", "0 acknowledged but missing, 0 visible in part",
        faults.run, 18, 90, 900, "faults",
    ),
    Row(
        7, "sync", "a sync that fails", "0 acknowledged after it, 0 retries",
        faults.run_sync, 6, 30, 300, "failed syncs",
    ),
    Row(
        8, "machine", "state machine against a model, asyncio and trio", "0 failures",
        machine.run, 16, 200, 10_000, "examples",
    ),
    Row(
        8, "machine-bucket", "the same in a bucket (SeaweedFS)", "0 failures",
        bucket_rows.run_machine, 2, 20, 1000, "examples",
    ),
    Row(
        10, "race", "16 writers save the same blobs and names", "0 lost updates, 0 errors",
        race.run, 8, 60, 10_000, "saves",
    ),
    Row(
        10, "race-bucket", "4 processes do so in a bucket (SeaweedFS)", "0 lost updates, 0 errors",
        bucket_rows.run_race, 3, 25, 500, "saves",
    ),
    Row(
        11, "cancel", "cancellation at await points", "0 leaks; acknowledged, invisible or CommitUncertain",
        cancel.run, 72, 400, 0, "cancellations",
    ),
    Row(
        12, "remote", "hostile object-store server, by four clients", "0 wrong bytes, an end in time + 10 %",
        remote.run, 24, 0, 0, "behaviours × clients",
    ),
    Row(
        13, "bombs", "bombs and giant heads from a server, 256 MiB of memory", "refused, nothing killed",
        remote.run_bombs, 8, 0, 0, "bombs × clients",
    ),
    Row(
        14, "hostile", "generated names, planted links", "0 opens outside, 0 links followed",
        hostile.run, 400, 4000, 100_000, "names and links",
    ),
    Row(15, "trust", "attack files loaded with `trust=None`", "0 code runs", trust.run, 0, 0, 0, "files × 18 tags"),
    Row(
        16, "secrets", "25 secrets planted; logs at DEBUG, errors, reprs, pickles searched", "0 occurrences",
        secrecy.run, 1, 1, 1,
    ),
    Row(17, "fuzz", "fuzzing every parser of foreign bytes", "0 crashes", fuzz.run, -1, 5, 600, "s per target"),
    Row(18, "gap", "event-loop gap, saving and loading", "p99 ≤ 5 ms, max ≤ 20 ms", gap.run, 16, 64, 256, "× 4 MiB"),
    Row(
        19, "memory", "peak memory of one blob as a stream, under RLIMIT_DATA", "≤ 128 MiB above idle",
        memory.run, 256, 512, 4096, "MiB",
    ),
)  # fmt: skip


def row(title: str) -> Row:
    """The row of that title or number."""
    for one in ROWS:
        if title in (one.title, str(one.number)):
            return one
    raise KeyError(f"no row {title!r}; there are {', '.join(one.title for one in ROWS)}")
