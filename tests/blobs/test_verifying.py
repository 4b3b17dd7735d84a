"""Verifying tells how far it is, from any number of packs, and ends when it is told to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import anyio
import pytest

import packhouse
import packhouse.blobs.jobs
from tests.cancelling import busy_threads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

LARGE = 40 << 20


class Mine(Exception):
    """The caller's own."""


@pytest.fixture
async def packs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[packhouse.BlobStore]:
    """A store of several packs that are verified side by side, and a progress that is told often."""
    monkeypatch.setattr(packhouse.blobs.jobs, "_TELL_EVERY", 0.002)
    async with packhouse.open(folder, options=packhouse.StoreOptions(threads=2)) as store:
        for _ in range(2):
            await store.save_blobs([os.urandom(LARGE)])
        yield store


async def test_progress_of_many_packs_is_told_to_the_end(packs: packhouse.BlobStore) -> None:
    steps: list[packhouse.Progress] = []
    report = await packs.verify(progress=steps.append)
    assert report.findings == ()
    assert report.packs >= 2
    assert steps[-1] == (report.segments + report.packs, report.bytes, None)
    assert report.bytes > 2 * LARGE
    assert len({step.size for step in steps}) > 2, "nothing was told before the end"
    assert [step.size for step in steps] == sorted(step.size for step in steps)


async def test_a_small_store_tells_its_end_too(store: packhouse.BlobStore) -> None:
    await store.save_blobs([b"small"])
    steps: list[packhouse.Progress] = []
    report = await store.verify(progress=steps.append)
    assert steps[-1] == (report.segments + report.packs, report.bytes, None)
    assert report.segments > 0


async def test_a_callback_that_raises_ends_the_checking(packs: packhouse.BlobStore) -> None:
    seen: list[int] = []

    def refuse(progress: packhouse.Progress) -> None:
        seen.append(progress.size)
        raise Mine

    with pytest.raises(Mine):
        await packs.verify(progress=refuse)
    assert len(seen) == 1
    assert seen[0] < 2 * LARGE, "it was told only when all was read"
    assert busy_threads() == 0
    assert (await packs.verify()).findings == ()


async def test_a_cancelled_verify_with_progress_leaves_nothing_running(packs: packhouse.BlobStore) -> None:
    with anyio.CancelScope() as scope:
        await packs.verify(progress=lambda _: scope.cancel())
    assert scope.cancelled_caught
    assert busy_threads() == 0
