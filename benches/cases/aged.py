"""A store after 100,000 commits of one blob by 8 processes, against a fresh one with the same blobs in one batch."""

from __future__ import annotations

import json
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable
from typing import NamedTuple

from benches import data, disk, peers
from benches.cases.aged_writer import SIZE, blob_number
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import lap
from benches.peers.contract import Peer, let_go

_WRITERS = 8
_BATCH = 1_000
_SINGLES = 50
_ROUNDS = 5


class _Use(NamedTuple):
    """Median seconds of each kind of use."""

    open: float
    save: float
    load: float
    single: float


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer."""
    commits = setting.scale.aged_commits
    aged, fresh = peer_class(setting.folder / "aged"), peer_class(setting.folder / "fresh")
    for peer in (aged, fresh):
        await peer.open()
        await peer.close()
    with lap() as aging:
        _write(peers.name_of(peer_class), setting, commits)
    everything = [blob_number(number) for number in range(commits)]
    await fresh.open()
    await fresh.save_durably(everything)
    await fresh.close()
    del everything

    old = await _uses(aged, setting, seed=11)
    new = await _uses(fresh, setting, seed=12)
    usage = disk.usage(aged.folder)
    return {
        "commits_per_second": commits / aging.seconds,
        "open_ratio": old.open / new.open,
        "save_ratio": old.save / new.save,
        "load_ratio": old.load / new.load,
        "single_ratio": old.single / new.single,
        "open_ms": old.open * 1e3,
        "fresh_open_ms": new.open * 1e3,
        "files": usage.files,
    }


def _write(peer: str, setting: Setting, commits: int) -> None:
    """Let eight processes commit at once."""
    command = [sys.executable, "-m", "benches.cases.aged_writer"]
    writers = [
        subprocess.Popen(
            [
                *command,
                json.dumps(
                    {
                        "peer": peer,
                        "folder": str(setting.folder / "aged"),
                        "first": number,
                        "step": _WRITERS,
                        "stop": commits,
                    }
                ),
            ]
        )
        for number in range(_WRITERS)
    ]
    failed = [writer.args for writer in writers if writer.wait() != 0]
    if failed:
        raise RuntimeError(f"{len(failed)} of {_WRITERS} writers failed")


async def _uses(peer: Peer, setting: Setting, *, seed: int) -> _Use:
    """Open, save a batch, load blobs that were there before, save single ones."""
    commits = setting.scale.aged_commits
    places = random.Random(5)
    old = [blob_number(number) for number in places.sample(range(commits), min(_BATCH, commits))]
    count = min(_BATCH, commits)
    batches = [data.blobs("random", count=count, size=10 << 10, seed=seed * 100 + at) for at in range(_ROUNDS)]
    singles = data.blobs("random", count=min(_SINGLES, commits), size=10 << 10, seed=seed + 10)
    setting.settle()

    opens: list[float] = []
    for _ in range(_ROUNDS):
        start = time.perf_counter()
        await peer.open()
        opens.append(time.perf_counter() - start)
        await peer.close()
    await peer.open()
    saves = [await _seconds(peer.save_durably(batch)) for batch in batches]
    keys = await peer.save_durably(old)
    await peer.load(keys, let_go)
    loads = [await _seconds(peer.load(keys, let_go)) for _ in range(_ROUNDS)]
    single_saves = [await _seconds(peer.save_durably([blob])) for blob in singles]
    await peer.close()
    if len(old[0]) != SIZE:
        raise RuntimeError("the aged blobs are of another size")
    return _Use(*map(statistics.median, (opens, saves, loads, single_saves)))


async def _seconds(work: Awaitable[object]) -> float:
    with lap() as spent:
        await work
    return spent.seconds


CASE = Case(
    name="aged",
    title="After 100,000 one-blob commits by 8 processes, against a fresh store",
    columns=(
        Column("commits_per_second", "commits/s"),
        Column("open_ratio", "open ÷ fresh", 2),
        Column("save_ratio", "save ÷", 2),
        Column("load_ratio", "load ÷", 2),
        Column("single_ratio", "single save ÷", 2),
        Column("open_ms", "open ms", 2),
        Column("files", "files"),
    ),
    run=run,
    ours_alone=True,
    rounds=1,
)
