"""A user can see what a store holds, and why it is not smaller."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import anyio
import pytest
from blake3 import blake3

import packhouse
from tests.torture.damage import flip

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


async def test_the_sums_are_those_of_what_was_saved(store: packhouse.BlobStore) -> None:
    text = b"the same line over and over\n" * 1000
    await store.save_blobs([text, noise(2_000_000, 1), text])
    survey = await store.survey()
    assert (survey.blobs, survey.large_blobs, survey.surplus) == (2, 1, 0)
    assert survey.blob_bytes == survey.chunk_bytes == len(text) + 2_000_000
    assert survey.stored_bytes < survey.chunk_bytes
    assert sum(survey.sizes) == survey.chunks
    assert sum(survey.size_bytes) == survey.chunk_bytes


async def test_what_was_stored_again_because_it_was_damaged_counts_as_surplus(folder: Path) -> None:
    blob = noise(60_000, 4)
    async with packhouse.open(folder) as store:
        (saved,) = await store.save_blobs([blob])
        (segment,) = (folder / "index" / "0").iterdir()
        flip(segment, 8 * 30_000)
        with pytest.raises(packhouse.CorruptBlob):
            await store.load(saved.key)
        assert not (await store.save_blobs([blob]))[0].existed
        assert await store.load(saved.key) == blob
        survey = await store.survey()
    assert (survey.blobs, survey.surplus) == (1, 1)
    assert 60_000 <= survey.surplus_bytes < 61_000


async def test_what_two_writers_save_at_the_same_moment_counts_as_surplus(folder: Path) -> None:
    blob = noise(30_000_000, 5)
    both = [anyio.Event(), anyio.Event()]

    async def pieces(writer: int) -> AsyncIterator[bytes]:
        for start in range(0, len(blob), 1_000_000):
            yield blob[start : start + 1_000_000]
        both[writer].set()
        await both[1 - writer].wait()

    async def save(writer: int) -> None:
        async with packhouse.open(folder) as store:
            await store.save_stream(pieces(writer))

    async with packhouse.open(folder) as store:
        async with anyio.create_task_group() as writers:
            writers.start_soon(save, 0)
            writers.start_soon(save, 1)
        survey = await store.survey()
        assert (survey.blobs, survey.blob_bytes, survey.chunk_bytes) == (1, len(blob), len(blob))
        assert len(blob) / 2 < survey.surplus_bytes < len(blob) * 1.01, "once more for the other writer, and no more"
        assert (await store.save_blobs([blob]))[0].existed
        assert (await store.survey()).surplus == survey.surplus


async def test_another_level_gives_other_bytes_and_an_absurd_one_is_refused() -> None:
    text = b"".join(b'{"id": %d, "name": "row", "value": %d},\n' % (n, n * n % 997) for n in range(40_000))
    stored = []
    for level in (1, 9):
        async with packhouse.open("memory://", options=packhouse.StoreOptions(level=level)) as store:
            (saved,) = await store.save_blobs([text])
            assert await store.load(saved) == text
            stored.append(saved.stored_size)
    assert stored[1] < stored[0]
    for level in (99, -1_000_000):
        with pytest.raises(packhouse.InvalidInput, match="level"):
            async with packhouse.open("memory://", options=packhouse.StoreOptions(level=level)):
                pass


async def test_a_blob_tells_what_saving_it_added(store: packhouse.BlobStore) -> None:
    first = noise(4_000_000, 2)
    await store.save_blobs([first])
    second = first[:2_000_000] + noise(1000, 3) + first[2_000_000:]
    [saved] = await store.save_blobs([second])
    anatomy = await store.anatomy(saved.key)
    assert anatomy.size == len(second)
    assert 3_000_000 < anatomy.known_bytes < len(second)
    with pytest.raises(packhouse.BlobNotFound):
        await store.anatomy("0" * 64)
    with pytest.raises(ValueError, match="key"):
        await store.anatomy("no key")


async def test_every_blob_is_listed_once(store: packhouse.BlobStore) -> None:
    blobs = [noise(100 + number, number) for number in range(5000)]
    await store.save_blobs(blobs)
    await store.save_blobs(blobs[:100])
    listed = [blob async for blob in store.keys()]  # noqa: SIM118 - a store is no dict
    assert listed == sorted((blake3(blob).hexdigest(), len(blob)) for blob in blobs)
