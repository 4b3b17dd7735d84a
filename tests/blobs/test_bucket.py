"""Blobs in a bucket: the same API and promises as in a folder, on a real server and on one that loses answers."""

from __future__ import annotations

import pickle
import random
from collections.abc import AsyncIterator
from pathlib import Path

import anyio
import pytest

import packhouse
import packhouse.sync
from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Options
from tests.blobs.conftest import objects_of, services
from tests.hostile.server import Behave, Talk, hostile

DICE = random.Random(5)
LARGE = DICE.randbytes(20 << 20)


async def test_blobs_come_back_and_are_stored_once(url: str, options: packhouse.StoreOptions) -> None:
    blobs = [b"", b"one", b"two" * 1000, LARGE, b"one"]
    async with packhouse.open(url, options=options) as store:
        saved = await store.save_blobs(blobs)
        again = await store.save_blobs([*blobs, b"new"])
    assert [blob.existed for blob in again] == [True] * 5 + [False]
    async with packhouse.open(url, options=options, mode="r") as store:
        for blob, content in zip(saved, blobs, strict=True):
            assert bytes(await store.load(blob.key)) == content
        loaded = {key: bytes(data) async for key, data in store.load_blobs(saved[1:4])}
        assert loaded[saved[3].key] == LARGE
        assert bytes(await store.load_range(saved[3].key, 1_000_000, 2_000_000)) == LARGE[1_000_000:2_000_000]
        report = await store.verify()
        assert report.findings == ()
        with pytest.raises(packhouse.ReadOnlyStore):
            await store.save_blobs([b"x"])
    restored: packhouse.BlobStore = pickle.loads(pickle.dumps(store))
    assert restored.url == url


@services
async def test_a_buckets_own_options_do(url: str, options: packhouse.StoreOptions, tmp_path: Path) -> None:
    assert options.bucket is not None
    async with packhouse.open(url, options=options.bucket) as store:
        (saved,) = await store.save_blobs([b"kept"])
        assert store.options == options
    with pytest.raises(packhouse.InvalidInput, match="is none"):
        packhouse.open(tmp_path, options=options.bucket)
    with pytest.raises(packhouse.InvalidInput, match="S3Options"):
        packhouse.open(url, options={"endpoint": "planted"})  # type: ignore[arg-type] # what is refused

    def use() -> bytes:
        with packhouse.sync.open(url, options=options.bucket, mode="r") as store:
            return store.load(saved)

    assert await anyio.to_thread.run_sync(use) == b"kept"


@pytest.mark.parametrize("where", ["folder", "memory://"])
def test_a_buckets_options_are_refused_where_there_is_no_bucket(where: str, tmp_path: Path) -> None:
    place = where if "://" in where else tmp_path / where
    bucket = S3Options(endpoint="https://host.example", conditional_writes=False)
    for options in (bucket, packhouse.StoreOptions(bucket=bucket)):
        with pytest.raises(packhouse.InvalidInput, match="is none") as caught:
            packhouse.open(place, options=options)
        assert caught.value.kind == "option"
    assert list(tmp_path.iterdir()) == []


async def test_a_bucket_without_a_store_is_told(url: str, options: packhouse.StoreOptions) -> None:
    with pytest.raises(packhouse.StoreNotFound):
        async with packhouse.open(url, options=options, mode="r"):
            pass
    async with objects_of(url, options) as objects:
        await objects.put("other", b"things")
        with pytest.raises(packhouse.StoreNotFound, match="other things"):
            async with packhouse.open(url, options=options):
                pass


async def test_many_writers_share_a_bucket(url: str, options: packhouse.StoreOptions) -> None:
    async def write(number: int) -> None:
        async with packhouse.open(url, options=options) as store:
            for turn in range(3):
                keys.extend(blob.key for blob in await store.save_blobs([b"shared", f"{number} {turn}".encode()]))

    keys: list[str] = []
    async with anyio.create_task_group() as tasks:
        for number in range(4):
            tasks.start_soon(write, number)
    async with packhouse.open(url, options=options, mode="r") as store:
        assert {key async for key, _ in store.load_blobs(list(dict.fromkeys(keys)))} == set(keys)


async def test_names_are_swapped_and_no_update_is_lost(url: str, options: packhouse.StoreOptions) -> None:
    async with packhouse.open(url, options=options) as store, packhouse.open(url, options=options) as other:
        (blob,) = await store.save_blobs([b"kept"])
        version = await store.names.put("dir/name é", {"n": 0}, refs=[blob.key])
        with pytest.raises(packhouse.NameConflict):
            await other.names.put_if_absent("dir/name é", {})
        with pytest.raises(packhouse.BlobNotFound):
            await other.names.put("bad", 1, refs=["0" * 64])

        async def count(handle: packhouse.BlobStore) -> None:
            for _ in range(4):
                while True:
                    found = await handle.names.get("counter")
                    try:
                        await handle.names.replace("counter", found.doc + 1, version=found.version)
                        break
                    except packhouse.NameConflict:
                        continue

        await store.names.put_if_absent("counter", 0)
        async with anyio.create_task_group() as tasks:
            for handle in (store, other, store):
                tasks.start_soon(count, handle)
        assert (await store.names.get("counter")).doc == 12
        assert (await other.names.get("dir/name é")).version == version
        async with anyio.create_task_group() as tasks:  # unconditional puts of many names at once
            for number in range(6):
                tasks.start_soon(store.names.put, f"many/{number % 3}", number)
        assert [name async for name in other.names.list("many/")] == ["many/0", "many/1", "many/2"]


async def test_a_cancelled_save_leaves_nothing(url: str, options: packhouse.StoreOptions) -> None:
    async def endless() -> AsyncIterator[bytes]:
        dice = random.Random(1)
        for _ in range(20):
            yield dice.randbytes(1 << 20)
        reached.set()
        await anyio.sleep_forever()

    reached = anyio.Event()
    async with packhouse.open(url, options=options) as store:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.save_blobs, [endless()])
            await reached.wait()
            tasks.cancel_scope.cancel()
        saved = await store.save_blobs([b"afterwards"])
        assert bytes(await store.load(saved[0].key)) == b"afterwards"
    async with objects_of(url, options) as objects:
        assert await objects.uploads() == ()
        assert [info.name async for info in objects.list("packs/")] == []


async def test_a_pack_that_vanished_is_noticed_and_saving_again_heals(
    url: str, options: packhouse.StoreOptions
) -> None:
    async with packhouse.open(url, options=options) as store, objects_of(url, options) as objects:
        for heals_at_once in (False, True):
            blob = DICE.randbytes(1 << 20)
            (saved,) = await store.save_blobs([blob])
            await objects.delete([info.name async for info in objects.list("packs/")])
            if heals_at_once:  # a writer that has not seen the pack looks for it first
                async with packhouse.open(url, options=options) as other:
                    await other.save_blobs([blob])
            else:  # one that has sees it in step 3, and acknowledges nothing
                with pytest.raises(packhouse.CommitUncertain):
                    await store.save_blobs([blob])
                await store.save_blobs([blob])
            async with packhouse.open(url, options=options, mode="r") as reader:
                assert bytes(await reader.load(saved.key)) == blob


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_locator_that_lies_costs_time_and_nothing_else(
    url: str, options: packhouse.StoreOptions, anyio_backend: str
) -> None:
    blobs = [DICE.randbytes(1_000), *(DICE.randbytes(3_000_000) for _ in range(3)), b"text " * 500_000]
    async with packhouse.open(url, options=options) as store:
        saved = [(await store.save_blobs([blob]))[0] for blob in blobs]
    locators = [one.locator for one in saved]
    assert all(locators)
    async with packhouse.open(url, options=options, mode="r") as store:
        for shift in range(1, len(saved)):
            liars = [
                packhouse.KeyWithLocator(one.key, locators[(at + shift) % len(saved)]) for at, one in enumerate(saved)
            ]
            loaded = [bytes(data) async for _, data in store.load_blobs(liars)]
            assert loaded == blobs
            for liar, blob in zip(liars, blobs, strict=True):
                assert bytes(await store.load(liar)) == blob
                assert await store.size(liar) == len(blob)
                assert await store.load_range(liar, 5, 900) == blob[5:900]
                memory = bytearray(3_000_000)
                assert await store.load_into(liar, memory) == len(blob)
                assert memory[: len(blob)] == blob
        missing = packhouse.KeyWithLocator("0" * 64, locators[1])
        with pytest.raises(packhouse.BlobNotFound):
            await store.load(missing)
        with pytest.raises(packhouse.BlobNotFound):
            await store.size(missing)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_pack_that_rotted_is_noticed_by_a_load_with_a_locator(
    url: str, options: packhouse.StoreOptions, anyio_backend: str
) -> None:
    blobs = [DICE.randbytes(3_000_000), b"".join(b"line %d\n" % n for n in range(300_000))]
    async with packhouse.open(url, options=options) as store:
        saved = await store.save_blobs(blobs)
    async with objects_of(url, options) as objects:
        (pack,) = [info.name async for info in objects.list("packs/")]
        content = bytearray((await objects.get(pack)).data)
        for at in (1_000_000, len(content) // 2, 3_000_000 + 60_000):
            content[at] ^= 1
        await objects.put(pack, bytes(content))
    async with packhouse.open(url, options=options, mode="r") as store:
        for one in saved:
            with pytest.raises(packhouse.CorruptBlob):
                await store.load(one)


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
def test_without_await(url: str, options: packhouse.StoreOptions, anyio_backend: str) -> None:

    with packhouse.sync.open(url, options=options) as store:
        saved = store.save_blobs([b"sync", LARGE])
        assert bytes(store.load(saved[1].key)) == LARGE


def losing(times: int, *, effect: bool) -> Behave:
    """Lose the answers to the first writes of a segment, before or after their effect."""

    def serve(talk: Talk) -> None:
        for request in talk.requests():
            if request.method == "PUT" and "/index/" in request.path:
                lost = sum(each.method == "PUT" and "/index/" in each.path for each in talk.server.requests)
                if lost <= times:
                    if effect:
                        talk.server.well(request)
                    talk.reset()
                    return
            talk.send(talk.server.well(request))

    return serve


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("effect", [True, False])
@pytest.mark.parametrize("times", [1, 1000])
async def test_a_commit_whose_answer_is_lost(times: int, effect: bool, anyio_backend: str) -> None:
    with hostile(losing(times, effect=effect)) as server:
        http = HttpOptions(deadline=5, answer=1, tries=3)
        chosen = S3Options(endpoint=server.url, region="r", anonymous=True, http=http)
        async with packhouse.open("s3://bucket/p", options=packhouse.StoreOptions(bucket=chosen)) as store:
            if times == 1:
                saved = await store.save_blobs([b"told"])
                assert bytes(await store.load(saved[0].key)) == b"told"
                return
            with pytest.raises(packhouse.CommitUncertain) as caught:
                await store.save_blobs([b"told"])
            assert await store.committed(caught.value.batch_id) is effect


async def test_a_batch_does_not_need_what_another_has_sent_and_then_withdraws(
    url: str, options: packhouse.StoreOptions
) -> None:
    sent, saved = anyio.Event(), anyio.Event()

    async def withdrawn() -> AsyncIterator[bytes]:
        yield LARGE
        yield DICE.randbytes(20 << 20)
        sent.set()
        await saved.wait()
        raise RuntimeError("withdrawn")

    async with packhouse.open(url, options=options) as store:

        async def lend() -> None:
            with pytest.raises(RuntimeError, match="withdrawn"):
                await store.save_blobs(withdrawn())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(lend)
            await sent.wait()
            (blob,) = await store.save_blobs([LARGE])
            saved.set()
        assert bytes(await store.load(blob.key)) == LARGE
