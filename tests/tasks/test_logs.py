"""Logs: saved whole from anything, appended to and followed while a task runs, never mixed up."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from typing import Any

import aiofiles
import anyio
import pytest

import packhouse
from packhouse.errors import InvalidInput, StorageError
from packhouse.names import Names
from packhouse.sync.tasks import FlowDataStore as SyncFlow
from packhouse.tasks import FlowDataStore, LogName, TaskDataStore
from packhouse.tasks.loglines import Lines


@pytest.fixture
async def writer(store: packhouse.BlobStore) -> TaskDataStore:
    """An attempt that runs."""
    task: TaskDataStore = await FlowDataStore("Flow", ds_root=store).get_task_datastore(
        "1", "s", "1", attempt=0, mode="w"
    )
    await task.init_task()
    return task


async def reader(writer: TaskDataStore) -> TaskDataStore:
    task: TaskDataStore = await writer.parent_datastore.get_task_datastore("1", "s", "1", allow_not_done=True)
    return task


async def content(writer: TaskDataStore, stream: str = "stdout") -> bytes:
    [(_, data)] = await (await reader(writer)).load_logs(["task"], stream)
    return data


async def test_any_source_is_a_log(writer: TaskDataStore, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"file")

    async def pieces() -> AsyncIterator[bytes]:
        yield b"pie"
        yield b"ces"

    moved = io.BytesIO(b"skipped BytesIO")
    moved.seek(8)
    sources: dict[str, Any] = {
        "bytes": b"bytes",
        "text": "tüxt",
        "array": bytearray(b"array"),
        "view": memoryview(b"view"),
        "path": tmp_path / "log",
        "io": moved,
        "async": pieces(),
        "iterator/../odd name": iter([b"it", b"em"]),
    }
    async with await anyio.open_file(tmp_path / "log", "rb") as file:
        await writer.save_logs("task", {**sources, "async file": file})
    expected = {
        "bytes": b"bytes",
        "text": "tüxt".encode(),
        "array": b"array",
        "view": b"view",
        "path": b"file",
        "io": b"BytesIO",
        "async": b"pieces",
        "iterator/../odd name": b"item",
        "async file": b"file",
    }
    assert {stream: await content(writer, stream) for stream in expected} == expected
    assert set(await (await reader(writer)).log_names()) == {LogName("task", stream) for stream in expected}


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_an_aiofiles_file_is_a_log(writer: TaskDataStore, tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"by aiofiles")
    async with aiofiles.open(tmp_path / "log", "rb") as file:
        await writer.save_logs("task", {"stdout": file})
    assert await content(writer) == b"by aiofiles"


@pytest.mark.parametrize("wrong", [5, None, ["x"], io.StringIO("text")], ids=["int", "None", "list", "text file"])
async def test_what_is_no_log_is_refused_and_the_old_one_stays(writer: TaskDataStore, wrong: Any) -> None:
    await writer.save_logs("task", {"stdout": b"old"})
    with pytest.raises(InvalidInput):
        await writer.save_logs("task", {"stdout": wrong})
    assert await content(writer) == b"old"


async def test_a_log_grows_while_the_task_runs(writer: TaskDataStore) -> None:
    await writer.save_logs("task", {"stdout": "head\n"})
    task = await reader(writer)
    async with writer.log_writer("task", "stdout") as log:
        await log.write("one\n")
        assert await content(writer) == b"head\n"
        await log.flush()
        assert await content(writer) == b"head\none\n"
        await log.write(b"\xff" * 100_000)
        assert await task.get_log_size(["task"], "stdout") == 9 + 100_000
        await log.write("end")
    assert await content(writer) == b"head\none\n" + b"\xff" * 100_000 + b"end"


async def test_a_follower_sees_everything_once_and_ends_with_the_task(writer: TaskDataStore) -> None:
    task = await reader(writer)
    seen: list[bytes] = []

    async def follow() -> None:
        async for piece in task.follow_log("task", "stdout", interval=0.01):
            seen.append(piece)  # noqa: PERF401 - looked at while it grows

    lines = [f"line {number}\n".encode() for number in range(30)]
    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            async with writer.log_writer("task", "stdout") as log:
                for line in lines:
                    await log.write(line)
                    await log.flush()
                    await anyio.sleep(0.002)
            await writer.done()
    assert b"".join(seen) == b"".join(lines)
    assert len(seen) > 1


async def test_a_follower_of_a_killed_attempt_ends_when_the_next_has_begun(writer: TaskDataStore) -> None:
    flow = writer.parent_datastore
    task = await flow.get_task_datastore("1", "s", "1", attempt=0, allow_not_done=True)
    async with writer.log_writer("runtime", "stdout") as log:
        await log.write("begun\n")
    await writer.save_logs("task", {"stdout": "and killed\n", "stderr": "not asked for"})
    again = await flow.get_task_datastore("1", "s", "1", attempt=1, mode="w")
    seen: list[bytes] = []

    async def follow() -> None:
        async for piece in task.follow_log(None, "stdout", interval=0.01):
            seen.append(piece)  # noqa: PERF401 - looked at while it grows

    with anyio.fail_after(30):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(follow)
            while len(seen) < 2:  # noqa: ASYNC110 - another's work
                await anyio.sleep(0.005)
            await again.init_task()
    assert b"".join(seen) == b"begun\nand killed\n"


async def test_a_follower_of_several_sources_gets_whole_lines_of_each(writer: TaskDataStore) -> None:
    task = await reader(writer)
    seen = bytearray()

    async def follow() -> None:
        async for piece in task.follow_log(None, "stdout", interval=0.001):
            seen.extend(piece)

    async def write(source: str) -> None:
        async with writer.log_writer(source, "stdout", flush_bytes=1) as log:
            for number in range(10):
                for part in (f"line {number} ", "of ", f"{source}\n"):
                    await log.write(part)
                    await anyio.sleep(0.003)
            await log.write(f"{source} ends without a newline")

    with anyio.fail_after(60):
        async with anyio.create_task_group() as following:
            following.start_soon(follow)
            async with anyio.create_task_group() as writers:
                for source in ("runtime", "task"):
                    writers.start_soon(write, source)
            await writer.done()
    lines = bytes(seen).decode().split("\n")
    for source in ("runtime", "task"):
        told = [line for line in lines if source in line]
        assert told == [*(f"line {number} of {source}" for number in range(10)), f"{source} ends without a newline"]
    assert len(lines) == 22


async def test_logs_of_several_sources_do_not_run_into_each_other(writer: TaskDataStore) -> None:
    await writer.save_logs("runtime", {"stdout": "no newline at its end"})
    await writer.save_logs("task", {"stdout": "x" * 3_000_000 + "\r\n" + "end"})
    pieces = [piece async for piece in (await reader(writer)).follow_log(None, "stdout", interval=None)]
    assert b"".join(pieces) == b"no newline at its end\n" + b"x" * 3_000_000 + b"\r\nend"
    pieces = [piece async for piece in (await reader(writer)).follow_log("task", "stdout", interval=None)]
    assert b"".join(pieces) == b"x" * 3_000_000 + b"\r\nend"


async def test_a_line_without_an_end_is_followed_in_bounded_memory_and_a_bar_as_it_moves() -> None:
    lines = Lines()
    first, second = LogName("runtime", "stdout"), LogName("task", "stdout")
    assert lines.add(first, b"10 %") == b""
    assert lines.add(first, b"\r20 %\r30 %") == b"10 %\r20 %\r"
    assert lines.add(second, b"a\nb") == b"\na\n"
    assert lines.add(second, b"b" * 100_000) == b"b" * 100_001
    assert lines.rest(first) == b"\n30 %"
    assert lines.rest(second) == b""


async def test_two_writers_lose_no_line(writer: TaskDataStore) -> None:
    async def write(name: str) -> None:
        async with writer.log_writer("task", "stdout", flush_bytes=1) as log:
            for number in range(20):
                await log.write(f"{name}{number}\n")

    async with anyio.create_task_group() as tasks:
        for name in "ab":
            tasks.start_soon(write, name)
    lines = (await content(writer)).decode().split()
    for name in "ab":
        assert [line for line in lines if line[0] == name] == [f"{name}{number}" for number in range(20)]


async def test_a_log_that_is_saved_anew_has_no_old_pieces(writer: TaskDataStore) -> None:
    async with writer.log_writer("task", "stdout") as log:
        await log.write("old")
    await writer.save_logs("task", {"stdout": "new"})
    assert await content(writer) == b"new"
    async with writer.log_writer("task", "stdout") as log:
        await log.write("er")
    assert await content(writer) == b"newer"
    names = [name async for name in writer.parent_datastore.store.names.list("tasks/log/")]
    assert len(names) == 2


async def scrubbed(writer: TaskDataStore) -> None:
    owner = writer.parent_datastore
    task: TaskDataStore = await owner.get_task_datastore("1", "s", "1", mode="d", allow_not_done=True)
    await task.scrub_logs(["task"], "stdout")


async def test_a_writer_goes_on_behind_a_log_that_is_saved_anew(writer: TaskDataStore) -> None:
    async with writer.log_writer("task", "stdout") as log:
        for word in ("one", "two"):
            await log.write(word)
            await log.flush()
        await writer.save_logs("task", {"stdout": "new "})
        await log.write("three ")
        await log.flush()
        await log.write("four ")
        await log.flush()
        assert await content(writer) == b"new three four "
        await scrubbed(writer)
        await log.write(" five")
    assert await content(writer) == b"[REDACTED task stdout] five"
    names = [name async for name in writer.parent_datastore.store.names.list("tasks/log/")]
    assert len(names) == 2, "what stands under an older generation stays for ever"


async def test_a_piece_that_meets_a_log_saved_anew_is_not_lost(
    writer: TaskDataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Names.put_if_absent

    async def met(self: Names, *args: Any, **kwargs: Any) -> str:
        version = await put(self, *args, **kwargs)
        monkeypatch.undo()
        await writer.save_logs("task", {"stdout": "new "})
        return version

    async with writer.log_writer("task", "stdout") as log:
        await log.write("old ")
        await log.flush()
        await log.write("piece")
        monkeypatch.setattr(Names, "put_if_absent", met)
        await log.flush()
    assert await content(writer) == b"new piece"


async def test_a_piece_is_not_lost_to_a_save_that_another_save_overtook(
    writer: TaskDataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put = Names.put_many

    async def overtaken(self: Names, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()
        versions = await put(self, *args, **kwargs)
        await writer.save_logs("task", {"stdout": "second "})
        async with writer.log_writer("task", "stdout") as log:
            await log.write("piece")
        return versions

    async with writer.log_writer("task", "stdout") as log:
        await log.write("old")
    monkeypatch.setattr(Names, "put_many", overtaken)
    await writer.save_logs("task", {"stdout": "first "})
    assert await content(writer) == b"second piece"
    names = [name async for name in writer.parent_datastore.store.names.list("tasks/log/")]
    assert len(names) == 2, "what stands under an older generation stays for ever"


@pytest.mark.parametrize("asked", ["content", "size"])
async def test_a_log_that_is_saved_anew_while_it_is_read_is_the_old_one_or_the_new(
    writer: TaskDataStore, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    listing = Names.list
    await writer.save_logs("task", {"stdout": "old head "})
    async with writer.log_writer("task", "stdout") as log:
        await log.write("old piece")
    again: Any = await reader(writer)

    def meets(self: Names, *args: Any, **kwargs: Any) -> Any:
        monkeypatch.undo()

        async def late() -> AsyncIterator[str]:
            await writer.save_logs("task", {"stdout": "new"})
            async for name in listing(self, *args, **kwargs):
                yield name

        return late()

    monkeypatch.setattr(Names, "list", meets)
    if asked == "size":
        assert await again.get_log_size(["task"], "stdout") in (len("old head old piece"), len("new"))
    else:
        [(_, data)] = await again.load_logs(["task"], "stdout")
        assert data in (b"old head old piece", b"new")


async def test_what_a_failed_or_cancelled_flush_held_is_written_by_the_next(
    writer: TaskDataStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(self: Names, *_: Any, **__: Any) -> str:
        raise StorageError("no space", kind="disk-full")

    async def hangs(self: Names, *_: Any, **__: Any) -> str:
        await anyio.sleep_forever()
        return ""

    async with writer.log_writer("task", "stdout") as log:
        await log.write("one ")
        with monkeypatch.context() as patch:
            patch.setattr(Names, "put_if_absent", fails)
            with pytest.raises(StorageError):
                await log.flush()
            patch.setattr(Names, "put_if_absent", hangs)
            await log.write("two ")
            with anyio.move_on_after(0.05) as scope:
                await log.flush()
            assert scope.cancelled_caught
        await log.write("three")
        await log.flush()
        assert await content(writer) == b"one two three"
    assert await content(writer) == b"one two three"


async def test_tasks_that_share_a_writer_lose_and_double_nothing(writer: TaskDataStore) -> None:
    async with writer.log_writer("task", "stdout", flush_bytes=30) as log, anyio.create_task_group() as tasks:

        async def write(name: str) -> None:
            for number in range(20):
                await log.write(f"{name}{number}\n")
                await log.flush()

        for name in "abc":
            tasks.start_soon(write, name)
    lines = (await content(writer)).decode().split()
    assert sorted(lines) == sorted(f"{name}{number}" for name in "abc" for number in range(20))


async def test_a_file_that_another_process_writes_is_copied_as_it_grows(writer: TaskDataStore, tmp_path: Path) -> None:
    path, ended = tmp_path / "growing", anyio.Event()
    path.write_bytes(b"")
    async with writer.log_writer("task", "stdout") as log, anyio.create_task_group() as tasks:
        tasks.start_soon(partial(log.copy, path, ended, interval=0.01))
        with path.open("ab", buffering=0) as file, anyio.fail_after(30):
            for number in range(5):
                file.write(f"{number}\n".encode())
                while not (await content(writer)).endswith(f"{number}\n".encode()):  # noqa: ASYNC110 - another's work
                    await anyio.sleep(0.005)
            file.write(b"last")
        ended.set()
    assert await content(writer) == b"0\n1\n2\n3\n4\nlast"


async def test_a_missing_log_is_empty_and_sizes_are_known(writer: TaskDataStore) -> None:
    task = await reader(writer)
    assert await task.load_logs(["task", "runtime"], "stdout") == [("task", b""), ("runtime", b"")]
    assert await task.get_log_size(["task"], "stdout") == 0
    assert await task.get_legacy_log_size("stdout") is None
    assert [piece async for piece in task.follow_log("task", "stdout", interval=None)] == []


def test_logs_without_await(tmp_path: Path) -> None:
    with SyncFlow("Flow", ds_root=tmp_path / "s") as flow:
        task = flow.get_task_datastore("1", "s", "1", attempt=0, mode="w")
        task.init_task()
        task.save_logs("task", {"stdout": io.BytesIO(b"head ")})
        with task.log_writer("task", "stdout") as log:
            log.write("tail")
        task.done()
        found = flow.get_task_datastore("1", "s", "1")
        assert b"".join(found.follow_log("task", "stdout", interval=0.01)) == b"head tail"
