"""Sources that give little, late or nothing: whoever saves them can be cancelled, and the store can be closed."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any

import anyio
import pytest

import packhouse
import packhouse.sync
from packhouse.blobs.sources import AsyncSource, Source, classify
from packhouse.files import PIECE

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path


def lines() -> Iterator[bytes]:
    while True:
        time.sleep(0.01)
        yield b"a line\n"


def fifo_without_writer(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "fifo")
    return tmp_path / "fifo"


@pytest.fixture
def idle_pipe() -> Iterator[Callable[[Path], Any]]:
    """An open file of a pipe into which nobody writes."""
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        yield lambda _: file
        os.close(writing)


SOURCES: dict[str, Callable[[Path], Any]] = {"lines": lambda _: lines(), "fifo": fifo_without_writer}


@pytest.fixture(params=[*SOURCES, "idle pipe"])
def source(request: pytest.FixtureRequest, tmp_path: Path, idle_pipe: Callable[[Path], Any]) -> Any:
    return SOURCES.get(request.param, idle_pipe)(tmp_path)


async def test_a_source_that_gives_little_or_nothing_can_be_cancelled(folder: Path, source: Any) -> None:
    async with packhouse.open(folder) as store:
        began = time.monotonic()
        with anyio.move_on_after(0.3) as scope:
            await store.save_stream(source)
        assert scope.cancelled_caught
        assert time.monotonic() - began < 2


async def test_a_source_that_gives_little_or_nothing_does_not_keep_the_store_open(folder: Path, source: Any) -> None:
    ended: list[packhouse.StoreClosed] = []

    async def save(store: packhouse.BlobStore) -> None:
        with pytest.raises(packhouse.StoreClosed) as caught:
            await store.save_blobs([b"before", source])
        ended.append(caught.value)

    began = time.monotonic()
    async with anyio.create_task_group() as tasks, packhouse.open(folder) as store:
        tasks.start_soon(save, store)
        await anyio.sleep(0.3)
    assert len(ended) == 1
    assert time.monotonic() - began < 2


def test_a_source_that_gives_little_or_nothing_does_not_keep_a_sync_store_open(folder: Path, source: Any) -> None:
    store = packhouse.sync.open(folder)
    ended: list[packhouse.StoreClosed] = []

    def save() -> None:
        with pytest.raises(packhouse.StoreClosed) as caught:
            store.save_stream(source)
        ended.append(caught.value)

    saving = threading.Thread(target=save)
    saving.start()
    time.sleep(0.3)
    began = time.monotonic()
    store.close()
    saving.join()
    assert len(ended) == 1
    assert time.monotonic() - began < 2


@pytest.mark.parametrize("opened", [False, True], ids=["path", "file"])
async def test_a_pipe_is_saved_as_its_writer_gives_it(folder: Path, tmp_path: Path, opened: bool) -> None:
    path = tmp_path / "fifo"
    os.mkfifo(path)
    parts = [os.urandom(size) for size in (1, 70_000, 9_000_000)]

    def write() -> None:
        with path.open("wb", buffering=0) as file:
            for part in parts:
                time.sleep(0.1)
                view = memoryview(part)
                while view:
                    view = view[file.write(view) :]

    writer = threading.Thread(target=write)
    writer.start()
    async with packhouse.open(folder) as store:
        item: Any = await anyio.to_thread.run_sync(path.open, "rb") if opened else path
        (saved, plain) = await store.save_blobs([item, b"beside it"])
        if opened:
            item.close()
        assert await store.load(saved) == b"".join(parts)
        assert await store.load(plain) == b"beside it"
    writer.join()


async def test_an_open_terminal_is_saved_to_its_first_end(store: packhouse.BlobStore) -> None:
    keyboard, screen = os.openpty()
    with os.fdopen(keyboard, "wb", buffering=0) as typing, os.fdopen(screen, "rb") as file:
        typing.write(b"one\n\x04behind\n\x04\x04")  # Ctrl-D, each time
        (saved,) = await store.save_blobs([file])
        assert await store.load(saved) == b"one\n"
        assert file.read1() == b"behind\n"


async def test_an_async_file_is_saved_to_its_first_end(store: packhouse.BlobStore) -> None:
    parts = [bytes(PIECE), b"end", b"", b"behind", b""]

    class File:
        async def read(self, _: int) -> bytes:
            return parts.pop(0)

    saved = await store.save_stream(File())
    assert saved.size == PIECE + 3


@pytest.mark.parametrize("later", [False, True], ids=["sync", "async"])
async def test_pieces_of_a_few_bytes_take_no_more_memory_than_large_ones(later: bool) -> None:
    def tiny() -> Iterator[bytes]:
        for number in range(40_000):
            yield bytes(memoryview(number.to_bytes(4))[1:])  # not one object over and over

    async def tiny_later() -> AsyncIterator[bytes]:
        for piece in tiny():
            yield piece

    source = classify(tiny_later() if later else tiny(), "item 0")
    tracemalloc.start()
    try:
        piece = await source.piece() if isinstance(source, AsyncSource) else _piece(source)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert piece == b"".join(tiny())
    assert most < 1 << 20


def _piece(source: Any) -> bytes:
    only: Source = source
    return only.piece()
