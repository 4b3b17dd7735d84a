"""What is saved is there, as it was, under the key that `b3sum` prints."""

from __future__ import annotations

import array
import io
import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import anyio
import numpy as np
import pytest
from blake3 import blake3

import packhouse
from packhouse.blobs.reader import BlobReader

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path


class Mine(Exception):
    """The caller's own."""


def key_of(data: bytes) -> str:
    return blake3(data).hexdigest()


def pieces_of(data: bytes, size: int = 100_000) -> Iterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


async def async_pieces_of(data: bytes, size: int = 100_000) -> AsyncIterator[bytes]:
    for piece in pieces_of(data, size):
        await anyio.lowlevel.checkpoint()
        yield piece


async def test_blobs_come_back_under_their_keys_after_reopening(folder: Path) -> None:
    blobs = [b"", b"one", b"two", os.urandom(300_000), os.urandom(5_000_000)]
    async with packhouse.open(folder) as store:
        saved = await store.save_blobs(blobs)
    assert [blob.key for blob in saved] == [key_of(blob) for blob in blobs]
    assert [blob.size for blob in saved] == [len(blob) for blob in blobs]
    assert not any(blob.existed for blob in saved)
    async with packhouse.open(folder, mode="r") as store:
        loaded = [blob async for blob in store.load_blobs(blob.key for blob in saved)]
        assert [blob.data for blob in loaded] == blobs
        assert [key for key, _ in loaded] == [blob.key for blob in saved]
        assert await store.load(saved[-1]) == blobs[-1]


async def test_every_form_of_a_blob_has_the_key_of_its_bytes(store: packhouse.BlobStore, tmp_path: Path) -> None:
    small, large = os.urandom(1_000), os.urandom(20_000_000)
    for name, data in (("small", small), ("large", large)):
        (tmp_path / name).write_bytes(data)
    with (tmp_path / "large").open("rb") as file:
        async with await anyio.open_file(tmp_path / "large", "rb") as async_file:
            forms: list[Any] = [
                small,
                bytearray(small),
                memoryview(small)[10:],
                bytearray(large),
                np.frombuffer(large, dtype=np.uint16).reshape(-1, 100),
                array.array("d", [1.0, 2.0]),
                tmp_path / "small",
                tmp_path / "large",
                file,
                io.BytesIO(large),
                async_file,
                pieces_of(large),
                pieces_of(small, 7),
                iter(()),
                async_pieces_of(large),
                async_pieces_of(small, 7),
            ]
            saved = await store.save_blobs(forms, len_hint=len(forms))
    expected = [small, small, small[10:], large, large, array.array("d", [1.0, 2.0]).tobytes(), small, large, large]
    expected += [large, large, large, small, b"", large, small]
    assert [blob.key for blob in saved] == [key_of(data) for data in expected]
    assert await store.load(key_of(large)) == large
    again = await store.save_blobs(expected)
    assert all(blob.existed for blob in again)
    assert all(blob.stored_size == 0 for blob in again)


async def test_a_buffer_that_its_owner_reuses_is_saved_as_it_was_when_it_was_handed_over(
    store: packhouse.BlobStore,
) -> None:
    def reused() -> Iterator[bytearray]:
        for size in (1_000, 1_000_000, 17_000_000):
            buffer = bytearray(size)
            for fill in (1, 2):
                buffer[:] = bytes([fill]) * size
                yield buffer
                buffer[:] = bytes(size)

    saved = await store.save_blobs(reused())
    sizes = [1_000, 1_000, 1_000_000, 1_000_000, 17_000_000, 17_000_000]
    assert [blob.key for blob in saved] == [key_of(bytes([1 + at % 2]) * size) for at, size in enumerate(sizes)]


@pytest.mark.parametrize("known", [False, True], ids=["new", "known"])
async def test_a_buffer_that_changes_while_it_is_saved_is_stored_under_the_key_of_what_was_stored(
    store: packhouse.BlobStore, known: bool
) -> None:
    sizes = [1_000, 300_000, 4_000_000, 4_000_000, 20_000_000]
    buffers = [bytearray(os.urandom(size)) for size in sizes]
    if known:
        await store.save_blobs([bytes(buffer) for buffer in buffers])
    done = threading.Event()

    def change() -> None:
        while not done.is_set():
            for buffer in buffers:
                buffer[len(buffer) // 3] ^= 1
                buffer[-1] ^= 1

    changing = threading.Thread(target=change)
    changing.start()
    try:
        saved = [blob for _ in range(5) for blob in await store.save_blobs(buffers)]
    finally:
        done.set()
        changing.join()
    for blob in saved:
        assert key_of(await store.load(blob.key)) == blob.key
    assert [blob.size for blob in saved] == sizes * 5


async def test_buffers_of_a_list_are_saved_whatever_stands_between_them(store: packhouse.BlobStore) -> None:
    items: list[Any] = []
    for number in range(400):
        data = np.arange(number, number + 64 * (1 + number % 50), dtype=np.float32)
        items.append(data if number % 3 else data.tobytes())
    items.insert(200, iter([b"a piece, ", b"and another"]))
    expected = [key_of(b"a piece, and another") if at == 200 else key_of(bytes(item)) for at, item in enumerate(items)]
    saved = await store.save_blobs(items)
    assert [blob.key for blob in saved] == expected
    items[200] = b"a piece, and another"
    again = await store.save_blobs(tuple(items))
    assert [(blob.key, blob.existed) for blob in again] == [(key, True) for key in expected]


async def test_an_async_iterable_of_blobs_is_taken(store: packhouse.BlobStore) -> None:
    async def blobs() -> AsyncIterator[bytes]:
        for number in range(3):
            await anyio.lowlevel.checkpoint()
            yield bytes([number])

    saved = await store.save_blobs(blobs())
    assert [blob.key for blob in saved] == [key_of(bytes([number])) for number in range(3)]


async def test_thousands_of_blobs_keep_their_order(store: packhouse.BlobStore) -> None:
    blobs = [str(number).encode() * 50 for number in range(5_000)]
    saved = await store.save_blobs(blobs)
    assert [blob.key for blob in saved] == [key_of(blob) for blob in blobs]
    assert [blob.data async for blob in store.load_blobs(saved)] == blobs
    unordered = {key: data async for key, data in store.load_blobs(saved, ordered=False)}
    assert unordered == {key_of(blob): blob for blob in blobs}


async def test_parts_of_a_blob(store: packhouse.BlobStore) -> None:
    data = os.urandom(12_000_000)
    (blob,) = await store.save_blobs([data])
    assert await store.size(blob) == len(data)
    for start, stop in ((0, 0), (0, 10), (5_000_000, 9_000_001), (len(data) - 1, len(data)), (0, len(data))):
        assert await store.load_range(blob, start, stop) == data[start:stop]
    for start, stop in ((-1, 5), (5, 4), (0, len(data) + 1)):
        with pytest.raises(ValueError, match="load_range"):
            await store.load_range(blob, start, stop)
    buffer = bytearray(len(data) + 5)
    assert await store.load_into(blob, buffer) == len(data)
    assert buffer[:-5] == data
    target: Any = np.empty(len(data) // 4, dtype=np.float32)
    assert await store.load_into(blob, target) == len(data)
    assert target.tobytes() == data
    for unusable in (bytes(len(data)), bytearray(5), "text"):
        with pytest.raises(ValueError, match="load_into"):
            await store.load_into(blob, unusable)  # type: ignore[arg-type]


async def test_a_blob_reads_like_a_file(store: packhouse.BlobStore) -> None:
    data = os.urandom(10_000_000)
    blob = await store.save_stream(pieces_of(data))
    async with await store.open_read(blob.key) as file:
        assert file.size == len(data)
        assert await file.read(10) == data[:10]
        assert await file.seek(-5, os.SEEK_END) == len(data) - 5
        assert await file.read() == data[-5:]
        assert await file.read(5) == b""
        await file.seek(4 << 20)
        assert await file.read(5_000_000) == data[4 << 20 :][:5_000_000]
        await file.seek(3)
        assert await file.tell() == 3
        assert b"".join([piece async for piece in file]) == data[3:]
        with pytest.raises(ValueError, match="seek"):
            await file.seek(-1)
    with pytest.raises(packhouse.StoreClosed):
        await file.read(1)


@pytest.mark.parametrize("how", ["fails", "is cancelled"])
async def test_a_read_that_does_not_end_well_skips_nothing(
    store: packhouse.BlobStore, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    data = os.urandom(10_000_000)
    blob = await store.save_stream(pieces_of(data))
    turn = BlobReader._turn_to
    before = (4 << 20) - 1_000

    async def fails(reader: BlobReader, start: int) -> None:
        if start == 4 << 20:
            monkeypatch.undo()
            if how == "fails":
                raise Mine
            scope.cancel()
            await anyio.sleep_forever()
        await turn(reader, start)

    async with await store.open_read(blob.key) as file:
        assert await file.read(1) == data[:1]  # the first piece is at hand
        await file.seek(before)
        monkeypatch.setattr(BlobReader, "_turn_to", fails)
        with anyio.CancelScope() as scope, suppress(Mine):
            await file.read(3_000)
            pytest.fail("the read did end well")
        assert await file.tell() == before
        assert await file.read(3_000) == data[before:][:3_000]
        assert await file.tell() == before + 3_000


async def test_results_are_yielded_only_when_they_are_committed(folder: Path) -> None:
    blobs = [os.urandom(1_000) for _ in range(300)]
    seen = []
    async with (
        packhouse.open(folder) as store,
        store.saving(iter(blobs), commit_every=50_000) as results,
        packhouse.open(folder, mode="r") as other,
    ):
        async for saved in results:
            seen.append(saved.key)
            assert await other.contains(saved.key)
        assert seen == [key_of(blob) for blob in blobs]
        assert store.stats().batches > 3


@pytest.mark.parametrize("form", ["path", "open file", "async file", "iterator", "bytes"])
async def test_no_more_is_at_stake_than_was_asked_for(tmp_path: Path, folder: Path, form: str) -> None:
    contents = [os.urandom(1_000) for _ in range(60)]
    paths = [tmp_path / str(number) for number in range(len(contents))]
    for path, content in zip(paths, contents, strict=True):
        path.write_bytes(content)
    taken = 0

    async def items() -> AsyncIterator[Any]:
        nonlocal taken
        for path, content in zip(paths, contents, strict=True):
            taken += 1
            if form == "async file":
                async with await anyio.open_file(path, "rb") as opened:
                    yield opened
            elif form == "open file":
                with path.open("rb") as file:
                    yield file
            else:
                yield {"path": path, "iterator": iter([content]), "bytes": content}[form]

    async with packhouse.open(folder) as store, store.saving(items(), commit_every=10_000) as results:
        seen = []
        async for saved in results:
            seen.append(saved.key)
            assert taken - len(seen) < 10, "taken, and not committed before more was taken"
        assert seen == [key_of(content) for content in contents]


async def test_results_outside_their_block_are_refused(store: packhouse.BlobStore) -> None:
    results = store.saving([b"not saved"])
    with pytest.raises(packhouse.InvalidInput, match="use it within `async with`"):
        await anext(results)
    with pytest.raises(packhouse.InvalidInput, match="use it within `async with`"):
        await results.next_many()
    async with results:
        assert [saved.key async for saved in results] == [key_of(b"not saved")]
        assert await results.next_many() == []
    with pytest.raises(packhouse.InvalidInput, match="use it within `async with`"):
        await anext(results)
    assert store.stats().batches == 1


async def test_leaving_early_withdraws_what_is_not_committed(folder: Path) -> None:
    blobs = [os.urandom(1_000) for _ in range(300)]
    async with packhouse.open(folder) as store:
        async with store.saving(blobs, commit_every=50_000) as results:
            async for saved in results:
                assert await store.contains(saved)
                break
        assert not await store.contains(key_of(blobs[-1]))
        async with store.saving(blobs) as results:
            pass
        assert not await store.contains(key_of(blobs[-1]))
        assert (await store.verify()).unlisted_packs == 0


async def test_a_store_in_memory(anyio_backend: object) -> None:
    async with packhouse.open("memory://") as store:
        (blob,) = await store.save_blobs([b"x" * 1_000_000])
        assert await store.load(blob.key) == b"x" * 1_000_000


async def test_progress_counts_what_is_done(store: packhouse.BlobStore) -> None:
    steps: list[packhouse.Progress] = []
    blobs = [os.urandom(20_000) for _ in range(3_000)]
    saved = await store.save_blobs(blobs, len_hint=3_000, progress=steps.append)
    assert steps[-1].blobs == 3_000
    assert steps[-1].size == 60_000_000
    assert steps[0].total_blobs == 3_000
    assert len(steps) > 2
    steps.clear()
    async for _ in store.load_blobs(saved, progress=steps.append):
        pass
    assert steps[-1].size == 60_000_000


async def test_progress_of_a_load_counts_what_is_handed_out(store: packhouse.BlobStore) -> None:
    saved = await store.save_blobs([b"one", b"two"])
    missing = [key_of(b"missing %d" % number) for number in range(5)]
    steps: list[packhouse.Progress] = []
    keys: list[Any] = [missing[0], saved[0], *missing, saved[1], missing[0]]
    assert len([blob async for blob in store.load_blobs(keys, missing="skip", progress=steps.append)]) == 2
    assert (steps[-1].blobs, steps[-1].size) == (2, 6)


async def test_progress_counts_the_bytes_of_files_and_streams(store: packhouse.BlobStore, tmp_path: Path) -> None:
    path = tmp_path / "large"
    path.write_bytes(bytes(20_000_000) + b"small")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(3):
            await anyio.sleep(0.3)
            yield bytes(9_000_000)

    steps: list[packhouse.Progress] = []
    await store.save_blobs([path, pieces(), b"bytes"], progress=steps.append)
    assert steps[-1].blobs == 3
    assert steps[-1].size == 47_000_010
    assert len({step.size for step in steps}) > 2, "nothing was told before the end"
    assert [step.size for step in steps] == sorted(step.size for step in steps)


async def test_verify_finds_a_flipped_byte_and_saving_again_heals_it(folder: Path) -> None:
    data = os.urandom(2_000_000)
    async with packhouse.open(folder) as store:
        (blob,) = await store.save_blobs([data])
        (pack,) = (folder / "packs").iterdir()
        damaged = bytearray(pack.read_bytes())
        damaged[1_000_000] ^= 1
        pack.write_bytes(damaged)
        with pytest.raises(packhouse.CorruptBlob):
            await store.load(blob)
        report = await store.verify()
        assert report.findings
        await store.save_blobs([data])
        assert await store.load(blob) == data
