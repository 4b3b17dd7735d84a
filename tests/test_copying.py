"""Copying between stores: equal at the end, only the rest after an interruption, nothing overwritten, damage told."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from anyio import to_thread

import packhouse
from packhouse.copying import copy_store
from packhouse.objects.s3 import S3Objects, S3Options
from tests.objects.test_doctor import environment
from tests.servers.seaweedfs import Bucket

COMMAND = Path(sys.executable).parent / "packhouse"
DICE = random.Random(11)
LARGE = DICE.randbytes(9 << 20)


def run(*arguments: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run([COMMAND, *arguments], env=env, capture_output=True, timeout=60, check=False)


async def everything(store: packhouse.BlobStore) -> tuple[dict[str, bytes], dict[str, Any]]:
    """All that a store holds."""
    listed = store.keys()
    blobs = {key: data async for key, data in store.load_blobs([blob.key async for blob in listed])}
    names = [name async for name in store.names.list()]
    found = [await store.names.get(name) for name in names]
    return blobs, {name: (each.doc, each.refs) for name, each in zip(names, found, strict=True)}


async def test_a_store_that_went_through_a_bucket_is_the_same(
    s3_options: S3Options, tmp_path: Path, folder: Path
) -> None:
    (tmp_path / "tree/deep").mkdir(parents=True)
    (tmp_path / "tree/deep/file").write_bytes(b"of the tree")
    url = f"s3://packhouse/copy-{DICE.randbytes(6).hex()}"
    options = packhouse.StoreOptions(bucket=s3_options)
    async with packhouse.open(folder) as ours, packhouse.open(url, options=options) as there:
        saved = await ours.save_blobs([b"", b"one", *(DICE.randbytes(3000) for _ in range(50)), LARGE, LARGE[:-5]])
        await ours.names.put("large é", {"n": 1}, refs=[saved[-1].key])
        tree = await ours.save_tree(tmp_path / "tree")
        await ours.names.put("tree", {"kind": "tree", "key": tree.key}, refs=[tree.key])
        copied = await copy_store(ours, there)
        assert (copied.blobs, copied.present_blobs, copied.names) == (56, 0, 2)
        async with packhouse.open(tmp_path / "back") as back:
            await copy_store(there, back)
            assert await everything(back) == await everything(ours)
            assert (await back.verify()).findings == ()
            await back.restore_tree(tree.key, tmp_path / "restored")
        requests = [name async for name in _objects(url, s3_options)]
        again = await copy_store(ours, there)
        assert (again.blobs, again.size, again.present_blobs, again.names, again.present_names) == (0, 0, 56, 0, 2)
        assert [name async for name in _objects(url, s3_options)] == requests, "nothing is written for nothing"
    assert (tmp_path / "restored/deep/file").read_bytes() == b"of the tree"


async def _objects(url: str, options: S3Options) -> Any:
    async with S3Objects(url, options) as objects:
        async for info in objects.list():
            yield info.name


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_copy_that_was_killed_goes_on_with_the_rest(
    bucket: Bucket, s3_options: S3Options, folder: Path, anyio_backend: str
) -> None:
    async with packhouse.open(folder) as ours:
        blobs = [DICE.randbytes(100_000) for _ in range(150)]
        await ours.save_blobs(blobs)
        await ours.names.put("all", 1)
    url = f"s3://packhouse/killed-{DICE.randbytes(6).hex()}"
    command = [str(COMMAND), "copy", str(folder), url, "--commit-every", "1", "--json"]
    process = subprocess.Popen(command, env=environment(bucket), stdout=subprocess.DEVNULL)  # noqa: ASYNC220 - at once
    end = time.monotonic() + 30
    segments: list[str] = []
    while len(segments) < 3 and time.monotonic() < end:
        segments = [name async for name in _objects(url, s3_options) if name.startswith("index/")]
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it was still copying"
    done = await to_thread.run_sync(lambda: run(*command[1:], env=environment(bucket)))
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)
    assert told["blobs"] + told["present_blobs"] == 150
    assert told["present_blobs"] >= 20, "what two commits of a MiB held"
    assert told["blobs"] > 0, "it was killed in the middle"
    async with packhouse.open(url, options=packhouse.StoreOptions(bucket=s3_options), mode="r") as there:
        assert set((await everything(there))[0].values()) == set(blobs)


async def test_a_name_that_stands_for_something_else_is_left_alone_unless_asked(tmp_path: Path) -> None:
    async with packhouse.open(tmp_path / "a") as ours, packhouse.open(tmp_path / "b") as theirs:
        await ours.names.put("same", 1)
        await ours.names.put("other", "ours")
        await theirs.names.put("same", 1)
        await theirs.names.put("other", "theirs")
        await theirs.names.put("only there", 1)
        copied = await copy_store(ours, theirs)
        assert (copied.names, copied.present_names, copied.differing_names) == (0, 1, ("other",))
        assert (await theirs.names.get("other")).doc == "theirs"
        copied = await copy_store(ours, theirs, replace=True)
        assert (copied.names, copied.differing_names) == (1, ())
        assert (await theirs.names.get("other")).doc == "ours"
        assert (await theirs.names.get("only there")).doc == 1


def flip(folder: Path, content: bytes) -> None:
    """Flip a bit where the content stands in a store."""
    (place,) = [path for path in folder.rglob("*") if path.is_file() and content[:64] in path.read_bytes()]
    place.chmod(0o600)
    stored = bytearray(place.read_bytes())
    stored[stored.index(content[:64])] ^= 1
    place.write_bytes(stored)


async def test_damage_in_the_source_is_told_and_stops_nothing_else(tmp_path: Path) -> None:
    smalls = [DICE.randbytes(5000) for _ in range(30)]
    async with packhouse.open(tmp_path / "a") as ours:
        saved = await ours.save_blobs([*smalls, LARGE])
        await ours.names.put("lost", 1, refs=[saved[7].key])
        await ours.names.put("kept", 1, refs=[saved[8].key])
    for content in (smalls[7], smalls[20], LARGE[4 << 20 :]):
        flip(tmp_path / "a", content)
    async with packhouse.open(tmp_path / "a", mode="r") as ours, packhouse.open(tmp_path / "b") as theirs:
        copied = await copy_store(ours, theirs)
        assert set(copied.damaged_blobs) == {saved[7].key, saved[20].key, saved[30].key}
        assert (copied.blobs, copied.names, copied.damaged_names) == (28, 1, ("lost",))
        assert not await theirs.contains(saved[30].key)
        assert (await theirs.verify()).findings == ()
    done = await to_thread.run_sync(lambda: run("copy", str(tmp_path / "a"), str(tmp_path / "b")))
    assert done.returncode == 4
    assert saved[7].key in done.stdout.decode()


def damage_index(folder: Path, key: str) -> None:
    """Flip a bit where a blob's key stands in the index."""
    flip(folder / "index", bytes.fromhex(key))


async def test_a_damaged_block_of_the_index_costs_the_copy_what_stands_there(tmp_path: Path) -> None:
    contents = [DICE.randbytes(100) for _ in range(10_000)]
    async with packhouse.open(tmp_path / "a") as ours:
        keys = sorted([saved.key for saved in await ours.save_blobs(contents)])
        lost, kept = keys[7_000], keys[-1]
        await ours.names.put("lost", 1, refs=[lost])
        await ours.names.put("kept", 1, refs=[kept])
        damage_index(tmp_path / "a", lost)
    async with packhouse.open(tmp_path / "a", mode="r") as ours, packhouse.open(tmp_path / "b") as theirs:
        with pytest.raises(packhouse.CorruptBlob):
            await ours.contains(lost)
        copied = await copy_store(ours, theirs)
        assert copied.unlisted
        assert 9_700 <= copied.blobs < 10_000
        assert (copied.names, copied.damaged_names, copied.damaged_blobs) == (1, ("lost",), (lost,))
        assert await theirs.contains(keys[6_700])
        assert await theirs.contains(keys[7_300])
        assert await theirs.contains(kept)
        assert (await theirs.verify()).findings == ()
    done = await to_thread.run_sync(lambda: run("copy", str(tmp_path / "a"), str(tmp_path / "b")))
    assert done.returncode == 4
    assert b"not all of the source could be listed" in done.stdout


async def test_of_a_source_that_cannot_be_listed_the_names_come_with_their_blobs(tmp_path: Path) -> None:
    async with packhouse.open(tmp_path / "a") as ours:
        (kept,) = await ours.save_blobs([b"kept"])
        await ours.names.put("kept", 1, refs=[kept.key])
        before = set((tmp_path / "a/index").rglob("*"))
        (lost,) = await ours.save_blobs([b"lost"])
        await ours.names.put("lost", 1, refs=[lost.key])
        (segment,) = set((tmp_path / "a/index").rglob("*")) - before
    os.truncate(segment, segment.stat().st_size // 2)
    async with packhouse.open(tmp_path / "a", mode="r") as ours, packhouse.open(tmp_path / "b") as theirs:
        copied = await copy_store(ours, theirs)
        assert copied.unlisted
        assert (copied.names, copied.damaged_names) == (1, ("lost",))
        assert await theirs.load(kept.key) == b"kept"


async def test_a_damaged_name_at_the_destination_stops_no_other(tmp_path: Path) -> None:
    async with packhouse.open(tmp_path / "a") as ours, packhouse.open(tmp_path / "b") as theirs:
        await theirs.names.put("broken", "broken " * 20)
        flip(tmp_path / "b", b"broken " * 20)
        await ours.names.put("broken", "whole")
        await ours.names.put("other", 1)
        copied = await copy_store(ours, theirs)
        assert (copied.names, copied.unreadable_names, copied.differing_names) == (1, ("broken",), ())
        with pytest.raises(packhouse.CorruptBlob):
            await theirs.names.get("broken")
        done = await to_thread.run_sync(lambda: run("copy", str(tmp_path / "a"), str(tmp_path / "b")))
        assert (done.returncode, b"'broken'" in done.stdout) == (4, True)
        copied = await copy_store(ours, theirs, check=True)
        assert (copied.names, copied.unreadable_names) == (1, ())
        assert (await theirs.names.get("broken")).doc == "whole"


async def test_documents_that_only_python_takes_for_equal_are_different(tmp_path: Path) -> None:
    async with packhouse.open(tmp_path / "a") as ours, packhouse.open(tmp_path / "b") as theirs:
        for name, mine, other in (("true", True, 1), ("one", 1, 1.0), ("zero", 0.0, False)):
            await ours.names.put(name, {"x": mine})
            await theirs.names.put(name, {"x": other})
        copied = await copy_store(ours, theirs)
        assert (copied.present_names, copied.differing_names) == (0, ("one", "true", "zero"))
        assert (await copy_store(ours, theirs, replace=True)).names == 3
        assert (await theirs.names.get("true")).doc["x"] is True


async def test_damage_at_the_destination_is_healed_when_it_is_checked(tmp_path: Path) -> None:
    content = DICE.randbytes(50_000)
    async with packhouse.open(tmp_path / "a") as ours, packhouse.open(tmp_path / "b") as theirs:
        (saved,) = await ours.save_blobs([content])
        await copy_store(ours, theirs)
        flip(tmp_path / "b", content)
        assert (await copy_store(ours, theirs)).blobs == 0, "its index is trusted"
        assert (await copy_store(ours, theirs, check=True)).blobs == 1
        assert await theirs.load(saved.key) == content


async def test_two_stores_in_memory_are_two() -> None:
    async with packhouse.open("memory://") as ours, packhouse.open("memory://") as theirs:
        await ours.save_blobs([b"copied"])
        assert (await copy_store(ours, theirs)).blobs == 1
        with pytest.raises(packhouse.InvalidInput, match="source and destination"):
            await copy_store(ours, ours)


async def test_a_blob_that_was_a_chunk_before_comes_along(tmp_path: Path) -> None:
    zeros = bytes(16 << 20)
    options = packhouse.StoreOptions(chunk_average=16 << 10)
    async with packhouse.open(tmp_path / "a", options=options) as ours, packhouse.open(tmp_path / "b") as theirs:
        (large,) = await ours.save_blobs([zeros])
        (chunk,) = await ours.save_blobs([zeros[: 64 << 10]])
        assert chunk.existed, "it is a chunk of the other"
        assert {blob.key async for blob in ours.keys()} == {large.key, chunk.key}  # noqa: SIM118 - a store is no dict
        assert (await copy_store(ours, theirs)).blobs == 2
        assert await theirs.load(chunk.key) == zeros[: 64 << 10]


async def test_a_blob_that_is_in_no_list_any_more_comes_along_with_its_name(tmp_path: Path) -> None:
    zeros = bytes(16 << 20)
    options = packhouse.StoreOptions(chunk_average=16 << 10, retention=0)
    async with packhouse.open(tmp_path / "a", options=options) as ours, packhouse.open(tmp_path / "b") as theirs:
        await ours.save_blobs([zeros])
        (chunk,) = await ours.save_blobs([zeros[: 64 << 10]], pin=False)
        await ours.names.put("chunk", 1, refs=[chunk.key])
        for n in range(100):  # until a merge drops the batch's record
            await ours.save_blobs([b"%d" % n])
        assert chunk.key not in {blob.key async for blob in ours.keys()}  # noqa: SIM118 - a store is no dict
        copied = await copy_store(ours, theirs)
        assert (copied.names, copied.damaged_names) == (1, ())
        assert await theirs.load(chunk.key) == zeros[: 64 << 10]


async def test_a_store_is_not_copied_onto_itself(store: packhouse.BlobStore) -> None:
    with pytest.raises(packhouse.InvalidInput):
        await copy_store(store, store)
