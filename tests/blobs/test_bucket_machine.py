"""The engine's state machine on a bucket of each service: short here; `ROUNDS=200` for long."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

import packhouse
from tests.blobs.conftest import Counting, Service
from tests.torture.bucket import LikeLarge, run_on
from tests.torture.nest import Nest

ROUNDS = int(os.environ.get("ROUNDS", "2"))


@pytest.mark.parametrize(
    ("service", "backend"),
    [("s3", "asyncio"), ("ceph", "asyncio"), ("gs", "trio"), ("az", "asyncio")],
    indirect=["service"],
)
@pytest.mark.timeout(120 * max(1, ROUNDS // 2))
def test_the_state_machine_finds_nothing(service: Service, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    with Nest() as nest:
        outcome = run_on(service.root, backend=backend, rounds=ROUNDS, steps=30, nest=nest)
    assert not outcome.violations, "\n".join(outcome.violations)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_it_opens_uses_footers_and_the_cache_although_its_segments_are_small(
    url: str, options: packhouse.StoreOptions, counting: Counting, tmp_path: Path, anyio_backend: str
) -> None:
    dice = random.Random(23)
    blobs = [dice.randbytes(10_000) for _ in range(40)]  # more than 256 KiB: a pack of its own
    async with packhouse.open(url, options=options, cache_dir=None) as store:
        await store.save_blobs(blobs)
    gets = []
    for cache in (None, tmp_path, tmp_path):
        async with LikeLarge(url, options=options, cache_dir=cache) as store:
            with counting() as known:
                assert all(blob.existed for blob in await store.save_blobs(blobs))
        gets.append(known["GET"])
    # Filter, fan-out and slice, twice, and where the pack stands; the footer knows all others.
    assert 4 <= gets[0] <= 9
    assert gets[2] == 1, "the footer; the blocks are on this machine"
