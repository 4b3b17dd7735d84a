"""What cannot be saved is told and leaves nothing: sources that raise or change, disks that take no writes."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import anyio
import pytest
from blake3 import blake3

import packhouse
import packhouse.files
import packhouse.sync
from tests.blobs.test_cancellation import files_in
from tests.cancelling import busy_threads, descriptors
from tests.torture.faults import small_disk
from tests.torture.places import scratch_folder

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
    from pathlib import Path

FIRST = b"what came before"
PIECE = os.urandom(700_000)


class Mine(Exception):
    """The caller's own."""


def blobs_then_raise() -> Iterator[bytes]:
    yield from (FIRST, PIECE)
    raise Mine


async def blobs_then_raise_later() -> AsyncIterator[bytes]:
    for blob in blobs_then_raise():
        await anyio.lowlevel.checkpoint()
        yield blob


def pieces_then_raise() -> Iterator[bytes]:
    for _ in range(40):
        yield PIECE
    raise Mine


async def pieces_then_raise_later() -> AsyncIterator[bytes]:
    for piece in pieces_then_raise():
        await anyio.lowlevel.checkpoint()
        yield piece


SAVES: dict[str, Callable[[packhouse.BlobStore], Awaitable[Any]]] = {
    "an iterable of blobs": lambda store: store.save_blobs(blobs_then_raise()),
    "an async iterable of blobs": lambda store: store.save_blobs(blobs_then_raise_later()),
    "an iterator of pieces": lambda store: store.save_blobs([FIRST, pieces_then_raise()]),
    "an async iterator of pieces": lambda store: store.save_blobs([FIRST, pieces_then_raise_later()]),
    "a stream": lambda store: store.save_stream(pieces_then_raise()),
    "an async stream": lambda store: store.save_stream(pieces_then_raise_later()),
}


@pytest.mark.parametrize("save", SAVES.values(), ids=SAVES)
async def test_an_iterator_that_raises_midway_leaves_nothing(
    folder: Path, save: Callable[[packhouse.BlobStore], Awaitable[Any]]
) -> None:
    before = descriptors()
    async with packhouse.open(folder) as store:
        await store.save_blobs([b"something there"])
        seen = files_in(folder)
        with pytest.raises(Mine):
            await save(store)
        assert files_in(folder) == seen
        assert busy_threads() == 0
        assert not await store.contains(blake3(FIRST).hexdigest())
        assert await store.save_blobs([FIRST])
    assert descriptors() <= before


def _rewrite(file: Path) -> None:
    file.write_bytes(file.read_bytes())
    os.utime(file, (1, 1))


async def later(pieces: list[Any]) -> AsyncIterator[Any]:
    for piece in pieces:
        await anyio.lowlevel.checkpoint()
        yield piece


@pytest.mark.parametrize("pieces", [[None, PIECE], [PIECE, None, PIECE], [PIECE, None]], ids=["first", "mid", "last"])
@pytest.mark.parametrize("make", [iter, later], ids=["sync", "async"])
async def test_a_none_among_pieces_is_no_end(
    store: packhouse.BlobStore, make: Callable[[list[Any]], Any], pieces: list[Any]
) -> None:
    for save in (store.save_stream, lambda source: store.save_blobs([FIRST, source])):
        with pytest.raises(packhouse.InvalidInput, match=r"a piece of item \d is of type NoneType"):
            await save(make(pieces))
    assert not await store.contains(blake3(PIECE).hexdigest())
    assert not await store.contains(blake3(b"").hexdigest())


class Unready:
    """A raw file that does not block: some bytes, then nothing yet."""

    def __init__(self) -> None:
        self._reads = [b"some", None, b"more", b""]

    def read(self, size: int = -1) -> bytes | None:
        return self._reads.pop(0)


class UnreadyLater(Unready):
    async def read(self, size: int = -1) -> bytes | None:  # type: ignore[override]  # the async form of the same
        return super().read(size)


@pytest.mark.parametrize("file", [Unready, UnreadyLater])
async def test_a_file_that_has_nothing_yet_is_not_at_its_end(store: packhouse.BlobStore, file: type) -> None:
    with pytest.raises(packhouse.InvalidInput, match="does not block"):
        await store.save_stream(file())
    assert not await store.contains(blake3(b"some").hexdigest())


def test_a_none_among_pieces_is_no_end_without_await_either(folder: Path) -> None:
    with packhouse.sync.open(folder) as store:
        with pytest.raises(packhouse.InvalidInput, match="a piece of item 0 is of type NoneType"):
            store.save_stream(iter([PIECE, None, PIECE]))  # type: ignore[arg-type]  # what is refused
        assert not store.contains(blake3(PIECE).hexdigest())


CHANGES: dict[str, Callable[[Path], object]] = {
    "grows": lambda file: os.truncate(file, 21 << 20),
    "shrinks": lambda file: os.truncate(file, 5 << 20),
    "is written to": _rewrite,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
async def test_a_file_that_changes_while_it_is_saved_leaves_nothing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: Callable[[Path], object]
) -> None:
    file = tmp_path / "file"
    file.write_bytes(os.urandom(20 << 20))
    pieces: Counter[str] = Counter()
    read = packhouse.files.PathSource.piece

    def reading(source: packhouse.files.PathSource, stopped: packhouse.files.Stopped) -> bytes:
        pieces["read"] += 1
        if pieces["read"] == 3:
            change(file)
        return read(source, stopped)

    async with packhouse.open(folder) as store:
        await store.save_blobs([b"something there"])
        seen = files_in(folder)
        monkeypatch.setattr(packhouse.files.PathSource, "piece", reading)
        with pytest.raises(packhouse.StorageError, match="changed while it was read") as told:
            await store.save_blobs([FIRST, file])
        assert (told.value.kind, pieces["read"] >= 3) == ("source-changed", True)
        assert "item 1" in str(told.value)
        assert files_in(folder) == seen
        assert not await store.contains(blake3(FIRST).hexdigest())


async def test_a_file_that_vanishes_before_its_turn_leaves_nothing(folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(PIECE)

    def items() -> Iterator[Any]:
        yield FIRST
        file.unlink()
        yield file

    async with packhouse.open(folder) as store:
        await store.save_blobs([b"something there"])
        seen = files_in(folder)
        with pytest.raises(packhouse.StorageError, match="item 1"):
            await store.save_blobs(items())
        assert files_in(folder) == seen
        assert not await store.contains(blake3(FIRST).hexdigest())


def _remount(disk: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how}", str(disk)], check=True)


def _everything(folder: Path) -> dict[str, tuple[int, int]]:
    found = ((path, path.stat()) for path in folder.rglob("*"))
    return {path.as_posix(): (stat.st_mtime_ns, stat.st_size) for path, stat in found}


@pytest.mark.root
async def test_a_store_on_a_read_only_mount_is_read_and_not_touched(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "size=32m") as (why, disk):
        if why is not None:
            pytest.skip(f"NOT RUN: no mount to make read-only: {why}")
        async with packhouse.open(disk / "store") as store:
            saved = await store.save_blobs([FIRST, PIECE])
            await store.names.put("name", 1)
        _remount(disk, "ro")
        try:
            before = _everything(disk)
            kinds = {"r": "mode", "a": "read-only-file-system"}
            for mode, kind in kinds.items():
                async with packhouse.open(disk / "store", mode=mode) as store:  # type: ignore[arg-type]  # one of two
                    assert [blob.data async for blob in store.load_blobs(saved)] == [FIRST, PIECE]
                    assert (await store.names.get("name")).doc == 1
                    assert (await store.verify()).findings == ()
                    for save in (
                        partial(store.save_blobs, [b"new"]),
                        partial(store.save_stream, iter([PIECE, PIECE])),
                        partial(store.names.put, "name", 2),
                    ):
                        with pytest.raises((packhouse.ReadOnlyStore, packhouse.StorageError)) as told:
                            await save()
                        assert told.value.kind == kind
            with pytest.raises(packhouse.StorageError) as told:
                async with packhouse.open(disk / "another"):
                    pass
            assert told.value.kind == "read-only-file-system"
            assert _everything(disk) == before
        finally:
            _remount(disk, "rw")
        async with packhouse.open(disk / "store") as store:
            assert not await store.contains(blake3(b"new").hexdigest())
            assert (await store.save_blobs([FIRST]))[0].existed


def _as_nobody(work: Callable[[], list[str]]) -> list[str]:
    """Run it in a forked child that has no rights."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            os.write(writing, " ".join(work()).encode())
        except BaseException as error:  # noqa: BLE001 - the parent gets it
            os.write(writing, repr(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, "rb") as told:
        return told.read().decode().split()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="NOT RUN: not root: nobody to drop privileges to")
def test_a_store_without_the_right_to_write_is_read_and_not_touched() -> None:
    with scratch_folder() as place:
        place.chmod(0o755)

        def look() -> list[str]:
            kinds = []
            modes: tuple[Literal["r", "a"], ...] = ("r", "a")
            for mode in modes:
                with packhouse.sync.open(place / "store", mode=mode) as store:
                    assert store.load(saved) == PIECE
                    assert store.verify().findings == ()
                    saves: list[Callable[[], object]] = [
                        partial(store.save_blobs, [b"new"]),
                        partial(store.names.put, "name", 2),
                    ]
                    for save in saves:
                        try:
                            save()
                        except (packhouse.ReadOnlyStore, packhouse.StorageError) as error:
                            kinds.append(error.kind)
            return kinds

        with packhouse.sync.open(place / "store") as store:
            (saved,) = store.save_blobs([PIECE])
            assert store.verify().findings == ()
        before = _everything(place)
        assert _as_nobody(look) == ["mode", "mode", "permission", "permission"]
        assert _everything(place) == before


def test_averages_of_chunks_are_taken_within_the_bounds_that_are_told(tmp_path: Path) -> None:
    for average in (255, 4 << 20):
        with pytest.raises(packhouse.InvalidInput) as raised:
            packhouse.sync.open(tmp_path / str(average), options=packhouse.StoreOptions(chunk_average=average))
        assert raised.value.kind == "chunk-sizes"
    for average in (256, 2 << 20):
        options = packhouse.StoreOptions(chunk_average=average)
        with packhouse.sync.open(tmp_path / str(average), options=options) as store:
            (saved,) = store.save_blobs([PIECE])
            assert store.load(saved) == PIECE
