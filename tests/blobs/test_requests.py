"""What each operation costs on a bucket, in requests by verb, as arithmetic says: exact numbers, on a real server."""

from __future__ import annotations

import random

import pytest

import packhouse
from tests.blobs.conftest import Counting, objects_of

DICE = random.Random(7)
MIB = 1 << 20


async def test_a_small_batch_is_one_put_and_one_list(
    url: str, options: packhouse.StoreOptions, counting: Counting
) -> None:
    async with packhouse.open(url, options=options) as store:
        with counting() as first:
            await store.save_blobs([b"one", b"two", b"three"])
        with counting() as second:
            await store.save_blobs([b"four", b"five"])
        with counting() as largest:
            await store.save_blobs([DICE.randbytes(50_000) for _ in range(5)])
    # A writer lists marks and the index before it writes first, and the marks after it has written.
    assert first == {"PUT": 1, "LIST": 2 + 1}
    assert second == {"PUT": 1, "LIST": 1}
    assert largest == {"PUT": 1, "LIST": 1}


async def test_leaning_on_a_pack_is_one_head_more(
    url: str, options: packhouse.StoreOptions, counting: Counting
) -> None:
    async with packhouse.open(url, options=options) as store:
        await store.save_blobs([b"one", b"two", b"three"])
        await store.save_blobs([b"four"])
        with counting() as one:
            await store.save_blobs([b"one", b"new"])
        with counting() as two:
            await store.save_blobs([b"one", b"three", b"four"])
    # The index and the damage notes are listed before anything is leaned on, the marks afterwards.
    assert one == {"PUT": 1, "LIST": 2 + 1, "HEAD": 1}
    assert two == {"PUT": 1, "LIST": 2 + 1, "HEAD": 2}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_leaning_lists_is_what_others_did_a_moment_ago(
    url: str, options: packhouse.StoreOptions, anyio_backend: str
) -> None:
    blob, other = DICE.randbytes(300_000), DICE.randbytes(300_000)
    async with packhouse.open(url, options=options) as store, objects_of(url, options) as objects:
        (saved,) = await store.save_blobs([blob])
        (pack,) = [info.name async for info in objects.list("packs/")]
        (saved_other,) = await store.save_blobs([other])
        assert (await store.save_blobs([blob]))[0].existed
        # The damage notes: another handle found the blob damaged. Without that list a save would lean on it and call it
        # safe, although that handle was told that saving again heals it.
        body = bytearray((await objects.get(pack)).data)
        body[1000] ^= 1
        await objects.put(pack, bytes(body))
        async with packhouse.open(url, options=options) as reader:
            with pytest.raises(packhouse.CorruptBlob):
                await reader.load(saved.key)
        assert not (await store.save_blobs([blob]))[0].existed
        # The index: what named the other blob is lost. Without that list a save would lean on what nobody can find.
        listed = [info.name async for info in objects.list("index/")]
        await objects.delete(listed)
        assert not (await store.save_blobs([other]))[0].existed
    async with packhouse.open(url, options=options, mode="r") as reader:
        assert bytes(await reader.load(saved_other.key)) == other


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_ten_thousand_small_blobs_are_their_parts_and_a_handful(
    url: str, options: packhouse.StoreOptions, counting: Counting, anyio_backend: str
) -> None:
    blobs = [DICE.randbytes(10 << 10) for _ in range(10_000)]
    async with packhouse.open(url, options=options) as store:
        await store.save_blobs([b"first"])
        with counting() as saving:
            saved = await store.save_blobs(blobs)
    # 103 MB in parts of 8 MiB, and the segment; an upload is begun and ended.
    parts = 13
    assert saving == {"PUT": parts + 1, "POST": 2, "LIST": 2 + 1}
    async with packhouse.open(url, options=options, mode="r") as store:
        with counting() as loading:
            loaded = {key: bytes(data) async for key, data in store.load_blobs(saved)}
    assert len(loaded) == 10_000
    # Locators say where they are: of two segments only the small one is read, as it is opened. 8 MiB of blobs are one
    # read, and 2048 are located at once: five times at most three.
    assert loading == {"GET": 5 * 3}, "locators say where all of it is: the index is not asked"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_large_blob_is_its_parts_and_its_recipe(
    url: str, options: packhouse.StoreOptions, counting: Counting, anyio_backend: str
) -> None:
    blob = random.Random(3).randbytes(200 * MIB)  # its recipe has two levels, in any store
    async with packhouse.open(url, options=options) as store:
        await store.save_blobs([b"first"])
        with counting() as saving:
            (saved,) = await store.save_blobs([blob])
        with counting() as again:
            await store.save_blobs([blob])
    assert saving == {"PUT": 26 + 1, "POST": 2, "LIST": 2 + 1}
    # Known: index and damage notes, two reads of the recipe; the record, the marks, and its pack is still there.
    assert again == {"LIST": 2 + 1, "GET": 2, "PUT": 1, "HEAD": 1}
    async with packhouse.open(url, options=options, mode="r") as store:
        with counting() as cold:
            assert bytes(await store.load(saved.key)) == blob
    # The index is one list and three segments, the recipe two reads; the bytes come 9 MiB at a time.
    assert cold == {"LIST": 1, "GET": 3 + 2 + 23}
    async with packhouse.open(url, options=options) as store:
        with counting() as known:
            assert (await store.save_blobs([blob]))[0].existed
    # A writer that knows nothing yet looks for the pack before it leans on it, too, and reads three segments.
    assert known == {"LIST": 3 + 1, "GET": 3 + 2, "PUT": 1, "HEAD": 2}


async def test_blobs_of_some_megabytes_are_loaded_by_their_locators_alone(
    url: str, options: packhouse.StoreOptions, counting: Counting
) -> None:
    blobs = [DICE.randbytes(4 * MIB) for _ in range(6)] + [DICE.randbytes(1000) * 3000]
    async with packhouse.open(url, options=options) as store:
        saved = await store.save_blobs(blobs)
    async with packhouse.open(url, options=options, mode="r") as store:
        with counting() as loading:
            loaded = {key: bytes(data) async for key, data in store.load_blobs(saved)}
        wrong = packhouse.KeyWithLocator(saved[0].key, saved[1].locator)  # of the same size
        with counting() as misled:
            assert await store.load(wrong) == blobs[0]
        assert await store.load_range(wrong, 1 << 20, 1 << 21) == blobs[0][1 << 20 : 1 << 21]
    assert list(loaded.values()) == blobs
    # Two blobs a request, side by side as they are; and no list, no segment, no recipe.
    assert loading == {"GET": 4}
    # What it leads to, which its key denies; then, as the index says, a segment, its recipe, and the bytes.
    assert misled["LIST"] == 1
    assert misled["GET"] <= 1 + 1 + 2 + 1


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_blob_that_lies_in_one_run_is_one_request_by_its_locator(
    url: str, options: packhouse.StoreOptions, counting: Counting, anyio_backend: str
) -> None:
    text = b"".join(b'{"id": %d, "name": "item %d"}\n' % (n, n * 2_654_435_761 % 2**32) for n in range(200_000))
    blobs = [DICE.randbytes(2 * MIB), text, DICE.randbytes(3 * MIB)]
    async with packhouse.open(url, options=options) as store:
        saved = [(await store.save_blobs([blob]))[0] for blob in blobs]
        together = await store.save_blobs(DICE.randbytes(MIB) for _ in range(5))
        for one in saved:
            async with packhouse.open(url, options=options, mode="r") as reader:
                with counting() as asked:
                    assert bytes(await reader.load(one)) == blobs[saved.index(one)]
            assert asked == {"GET": 1}
        async with packhouse.open(url, options=options, mode="r") as reader:
            with counting() as asked:
                loaded = [key async for key, _ in reader.load_blobs(together)]
        assert loaded == [one.key for one in together]
        assert asked == {"GET": 1}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_version_that_leans_on_another_is_as_many_requests_as_it_has_runs(
    url: str, options: packhouse.StoreOptions, counting: Counting, anyio_backend: str
) -> None:
    first = DICE.randbytes(4 * MIB)
    second = first[: 2 * MIB] + b"inserted" + first[2 * MIB :]
    async with packhouse.open(url, options=options) as store:
        await store.save_blobs([first])
        (saved,) = await store.save_blobs([second])
    async with packhouse.open(url, options=options, mode="r") as reader:
        with counting() as asked:
            assert bytes(await reader.load(saved)) == second
    # Both sides of the insertion lie in one pack and are read together; what is new in another, at the head of its
    # segment: that one is found by listing the index, whose two segments are read as they are opened.
    assert asked == {"LIST": 1, "GET": 2 + 2}
