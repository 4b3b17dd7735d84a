"""What was read of a bucket's index is kept on this machine: it saves requests, and never changes an answer."""

from __future__ import annotations

import logging
import multiprocessing
import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

import packhouse
import packhouse.sync
from tests.blobs.conftest import Counting, objects_of
from tests.servers.seaweedfs import Bucket

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])
DICE = random.Random(13)
BLOBS = [DICE.randbytes(300) for _ in range(2000)]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


async def fill(url: str, options: packhouse.StoreOptions) -> list[str]:
    """Make a store whose index is two segments; return its keys."""
    async with packhouse.open(url, options=options, cache_dir=None) as store:
        saved = await store.save_blobs(BLOBS)
        saved += await store.save_blobs([b"another segment"])
    return [blob.key for blob in saved]


async def load(url: str, options: packhouse.StoreOptions, cache: Path | None, keys: list[str]) -> None:
    async with packhouse.open(url, options=options, mode="r", cache_dir=cache) as store:
        found = {key: bytes(data) async for key, data in store.load_blobs(keys)}
        assert [found[key] for key in keys] == [BLOBS[at] for at in range(len(keys))]


def files(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file()]


async def test_what_one_handle_read_no_other_asks_for(
    url: str, options: packhouse.StoreOptions, counting: Counting, cache: Path, anyio_backend: str
) -> None:
    keys = await fill(url, options)
    with counting() as cold:
        await load(url, options, cache, keys[:10])
    with counting() as warm:
        await load(url, options, cache, keys[:10])
    with counting() as without:
        await load(url, options, None, keys[:10])
    # The settings, one list, and one range of blobs: two segments less than without.
    assert warm == {"LIST": 1, "GET": 2}
    assert cold == without == {"LIST": 1, "GET": 4}
    assert all(path.stat().st_mode & 0o077 == 0 for path in files(cache)), "the index is its user's business"


async def test_a_writer_keeps_what_it_published(
    url: str, options: packhouse.StoreOptions, counting: Counting, cache: Path, anyio_backend: str
) -> None:
    async with packhouse.open(url, options=options, cache_dir=cache) as store:
        saved = await store.save_blobs(BLOBS[:3])
        await store.load(saved[0].key)
    with counting() as reading:
        await load(url, options, cache, [blob.key for blob in saved])
    assert reading == {"LIST": 1, "GET": 2}


async def test_a_harmed_cache_is_fetched_again_and_changes_no_answer(
    url: str, options: packhouse.StoreOptions, counting: Counting, cache: Path, anyio_backend: str
) -> None:
    keys = await fill(url, options)
    await load(url, options, cache, keys[:10])
    for _ in range(3):
        for path in files(cache):
            content = bytearray(path.read_bytes())
            for at in range(0, len(content), 512):
                content[at] ^= 1 << DICE.randrange(8)
            path.write_bytes(content)
        await load(url, options, cache, keys[:10])
        with counting() as healed:
            await load(url, options, cache, keys[:10])
        assert healed == {"LIST": 1, "GET": 2}
        for path in files(cache):
            os.truncate(path, DICE.randrange(path.stat().st_size))
        await load(url, options, cache, keys[:10])


async def test_the_cache_may_be_deleted_while_it_is_used(
    url: str, options: packhouse.StoreOptions, cache: Path, anyio_backend: str
) -> None:
    keys = await fill(url, options)
    async with anyio.create_task_group() as tasks:

        async def delete() -> None:
            while True:
                await anyio.sleep(0.003)
                await anyio.to_thread.run_sync(lambda: shutil.rmtree(cache, ignore_errors=True))

        tasks.start_soon(delete)
        for turn in range(15):
            await load(url, options, cache, keys[: 10 + turn])
        async with packhouse.open(url, options=options, cache_dir=cache) as store:
            for turn in range(15):
                (saved,) = await store.save_blobs([f"{turn}".encode()])
                assert bytes(await store.load(saved.key)) == f"{turn}".encode()
        tasks.cancel_scope.cancel()


def _load_all(url: str, options: packhouse.StoreOptions, cache: Path, keys: list[str], harm: bool) -> None:
    for _ in range(6):
        with packhouse.sync.open(url, options=options, mode="r", cache_dir=cache, cache_bytes=1 << 20) as store:
            found = {key: bytes(data) for key, data in store.load_blobs(keys)}
            assert [found[key] for key in keys] == BLOBS
        for path in files(cache) if harm else []:
            with path.open("r+b") as file:
                file.seek(DICE.randrange(path.stat().st_size))
                file.write(b"\xff")


async def test_processes_share_it(
    *,
    url: str,
    options: packhouse.StoreOptions,
    bucket: Bucket,
    cache: Path,
    monkeypatch: pytest.MonkeyPatch,
    anyio_backend: str,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", bucket.access)  # no secret travels with a handle
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", bucket.secret)
    keys = (await fill(url, options))[: len(BLOBS)]
    spawned = multiprocessing.get_context("spawn")
    processes = [
        spawned.Process(target=_load_all, args=(url, options, cache, keys, harm)) for harm in (False, False, True)
    ]
    for process in processes:
        process.start()
    for process in processes:
        await anyio.to_thread.run_sync(process.join, 60)
    assert [process.exitcode for process in processes] == [0, 0, 0]
    assert files(cache)


async def test_it_stays_within_its_bytes(
    url: str, options: packhouse.StoreOptions, cache: Path, anyio_backend: str
) -> None:
    taken = 0
    async with packhouse.open(url, options=options, cache_dir=cache, cache_bytes=1 << 20) as store:
        for turn in range(12):
            await store.save_blobs([DICE.randbytes(40) for _ in range(2000)])
            taken = sum(path.stat().st_blocks * 512 for path in files(cache))
            assert taken <= 1 << 20, f"after {turn} segments"
    assert taken > 1 << 18


@pytest.fixture
def tiny(tmp_path: Path) -> Iterator[Path]:
    """A file system of 16 KiB."""
    place = tmp_path / "tiny"
    place.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=16k", "none", place], capture_output=True, check=False
    )
    if mounted.returncode:
        pytest.skip("a small file system cannot be mounted here")
    yield place
    subprocess.run(["umount", place], check=True)


@pytest.mark.parametrize("trouble", ["full", "no folder"])
async def test_a_cache_that_cannot_be_written_is_one_line_in_the_log(
    *,
    url: str,
    options: packhouse.StoreOptions,
    tiny: Path,
    tmp_path: Path,
    trouble: str,
    caplog: pytest.LogCaptureFixture,
    anyio_backend: str,
) -> None:
    keys = await fill(url, options)
    (tmp_path / "file").write_bytes(b"")
    place = tiny if trouble == "full" else tmp_path / "file"
    with caplog.at_level(logging.WARNING, logger="packhouse"):
        await load(url, options, place, keys[: len(BLOBS)])
        assert len(caplog.records) == 1
        assert "no more of the index is kept" in caplog.text
        async with packhouse.open(url, options=options, cache_dir=place) as store:
            (saved,) = await store.save_blobs([b"saved all the same"])
            assert bytes(await store.load(saved.key)) == b"saved all the same"
    assert len(caplog.records) == 2, "one for each handle"


async def test_damage_of_the_bucket_is_not_hidden_from_verify(
    url: str, options: packhouse.StoreOptions, cache: Path, anyio_backend: str
) -> None:
    keys = await fill(url, options)
    await load(url, options, cache, keys[: len(BLOBS)])
    async with objects_of(url, options) as objects:
        for info in [info async for info in objects.list("index/")]:
            content = bytearray((await objects.get(info.name)).data)
            content[len(content) // 2] ^= 1
            await objects.put(info.name, bytes(content))
    async with packhouse.open(url, options=options, mode="r", cache_dir=cache) as store:
        assert {finding.kind for finding in (await store.verify()).findings} & {"index", "segment-block"}


async def test_where_it_is(
    url: str, options: packhouse.StoreOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    keys = await fill(url, options)
    chosen, caches = tmp_path / "chosen", tmp_path / "caches"
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))
    monkeypatch.setenv("PACKHOUSE_CACHE_DIR", str(chosen))
    with packhouse.sync.open(url, options=options, mode="r") as store:
        store.load(keys[0])
    assert files(chosen)
    assert not caches.exists()
    monkeypatch.delenv("PACKHOUSE_CACHE_DIR")
    async with packhouse.open(url, options=options, mode="r") as other:
        await other.load(keys[0])
    assert files(caches / "packhouse")
    with pytest.raises(packhouse.InvalidInput):
        packhouse.open(url, options=options, cache_bytes=1000)
    with pytest.raises(packhouse.InvalidInput):
        packhouse.open(url, options=options, cache_dir="")
