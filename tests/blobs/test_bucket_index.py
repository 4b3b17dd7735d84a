"""What a handle that knows nothing asks for in a bucket with a large index: a look-up, and a save of what is there.

`cargo bench -p packhouse-engine --bench bucket` does the same with 100 million chunks.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace

import pytest

import packhouse
from packhouse.objects.s3 import S3Objects, S3Options
from tests.blobs.conftest import Counting

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])
DICE = random.Random(17)
LARGE = DICE.randbytes(48 << 20)
SMALL = [DICE.randbytes(1000) for _ in range(8300)]
SEGMENTS = 8
"""Each of more than 512 KiB, so that it is not read whole."""


async def fill(url: str, options: packhouse.StoreOptions) -> tuple[str, list[str]]:
    """Save a large blob, many small ones, and others beside them; return the keys of the first two."""
    options = replace(options, chunk_average=4096)  # as many chunks as a far larger blob has by default
    async with packhouse.open(url, options=options) as store:
        (large,) = await store.save_blobs([LARGE])
        for number in range(SEGMENTS - 2):
            await store.save_blobs([number.to_bytes(4) + at.to_bytes(4) for at in range(8300)])
        small = await store.save_blobs(SMALL)
    return large.key, [blob.key for blob in small]


def total(counted: Counter[str]) -> int:
    return sum(counted.values())


async def test_a_cold_handle_asks_for_little(
    url: str, options: packhouse.StoreOptions, counting: Counting, anyio_backend: str
) -> None:
    large, small = await fill(url, options)
    async with packhouse.open(url, options=options, mode="r") as store:
        with counting() as one:
            assert bytes(await store.load(small[7])) == SMALL[7]
    # The list, a filter block for each segment, a fan-out block and a slice where one does not exclude (once more,
    # perhaps, where it does not by chance), and the blob.
    assert one["LIST"] == 1
    assert one["GET"] <= SEGMENTS + 2 + 2 + 1
    async with packhouse.open(url, options=options, mode="r") as store:
        with counting() as loading:
            assert bytes(await store.load(large)) == LARGE
    # Beside the filters: that it is no chunk (a bucket's entries may stand in two slices), where blob, root and pack
    # stand, the footer, the recipe; 9 MiB at a time.
    assert total(loading) <= 1 + SEGMENTS + 3 + 2 + 3 + 1 + 1 + 3 + 7
    async with packhouse.open(url, options=options) as store:
        with counting() as known:
            assert [blob.existed for blob in await store.save_blobs([LARGE])] == [True]
    # The same without the bytes; four lists, the record, and the pack is still there.
    assert total(known) <= 4 + SEGMENTS + 2 + 3 + 1 + 1 + 3 + 2
    async with packhouse.open(url, options=options) as store:
        with counting() as many:
            assert all(blob.existed for blob in await store.save_blobs(SMALL))
    # Two look-ups, then the footer knows the others. Here a filter block is as much as a filter.
    assert total(many) <= 4 + 2 * (SEGMENTS + 3) + 2 + 2 + 4


async def test_a_pack_of_many_is_looked_for_by_one_list(
    url: str, options: packhouse.StoreOptions, counting: Counting, anyio_backend: str
) -> None:
    blobs = [DICE.randbytes(300_000) for _ in range(5)]
    async with packhouse.open(url, options=options) as store:
        for blob in blobs:
            await store.save_blobs([blob])
        with counting() as again:
            assert all(blob.existed for blob in await store.save_blobs(blobs))
    # Each has a recipe of its own.
    assert again == {"PUT": 1, "LIST": 2 + 1 + 1, "GET": 5}


async def test_what_a_lost_segment_named_is_stored_again(
    url: str, options: packhouse.StoreOptions, anyio_backend: str
) -> None:
    async with packhouse.open(url, options=options) as store:
        await store.save_blobs(SMALL)
    async with packhouse.open(url, options=options) as store:
        assert all(blob.existed for blob in await store.save_blobs(SMALL)), "by footers, most of them"
        assert isinstance(options.bucket, S3Options)
        async with S3Objects(url, options.bucket) as objects:
            await objects.delete(
                [max([info async for info in objects.list("index/")], key=lambda info: info.size).name]
            )
        saved = await store.save_blobs(SMALL[:50])
        assert not any(blob.existed for blob in saved)
    async with packhouse.open(url, options=options, mode="r") as store:
        assert len({key async for key, _ in store.load_blobs(blob.key for blob in saved)}) == 50
