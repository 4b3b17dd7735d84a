"""A user can see what a store holds, and why it is not smaller."""

from __future__ import annotations

import random

import pytest
from blake3 import blake3

import packhouse


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
