"""Progress bars: for people at a terminal, and only on what takes longer than a second."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import anyio

import packhouse
import packhouse.sync
from packhouse.cli import cat, put
from packhouse.cli.meter import Meter
from packhouse.trees.manifest import Entry

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pytest

COMMAND = Path(sys.executable).parent / "packhouse"


def drawn_by(command: list[str | Path], seconds: float = 0, piece: bytes = b"") -> bytes:
    """Run a command whose standard error is a terminal, give it pieces for so long, and return what it drew there."""
    terminal, stderr = os.openpty()
    running = subprocess.Popen(command, stdin=subprocess.PIPE, stderr=stderr, stdout=subprocess.DEVNULL)
    os.close(stderr)
    assert running.stdin is not None
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        running.stdin.write(piece)
        time.sleep(0.02)
    running.stdin.close()
    drawn = b""
    with contextlib.suppress(OSError):  # how a terminal says that nobody writes to it any more
        while some := os.read(terminal, 65536):
            drawn += some
    os.close(terminal)
    assert running.wait() == 0
    return drawn


def test_progress_is_drawn_for_people_only_and_only_after_a_second(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    packhouse.sync.open(folder).close()
    monkeypatch.setenv("PACKHOUSE_STORE", str(folder))
    content = os.urandom(1_000_000)
    assert b"standard input" in drawn_by([COMMAND, "put", "-"], 4, content)
    assert b"standard input" not in drawn_by([COMMAND, "put", "-"])


def test_what_tells_nothing_before_its_end_shows_that_it_works() -> None:
    script = "import time\nfrom packhouse.cli.meter import Meter\nwith Meter('reading', counts=False): time.sleep({})"
    assert b"reading" in drawn_by([sys.executable, "-c", script.format(2.5)])
    assert drawn_by([sys.executable, "-c", script.format(0)]) == b""


async def test_what_is_written_to_standard_output_is_counted(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsysbinary: pytest.CaptureFixture[bytes]
) -> None:
    counted: list[int] = []

    class Counting(Meter):
        def reach(self, done: int, total: int | None = None) -> None:
            counted.append(done)
            super().reach(done, total)

    monkeypatch.setattr(cat, "Meter", Counting)
    content = os.urandom(9_000_000)
    async with packhouse.open(folder) as store:
        (saved,) = await store.save_blobs([content])
    await cat._cat(str(folder), [saved.key], None)
    await cat._cat(str(folder), [saved.key], "5:8999999")
    assert capsysbinary.readouterr().out == content + content[5:8_999_999]
    assert counted.count(0) == 2
    assert {len(content), 8_999_994} <= set(counted)


async def test_a_folder_is_counted_for_people_only_and_ctrl_c_ends_that(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted: list[str] = []

    def large(root: str) -> Iterator[Entry]:
        until = time.monotonic() + 5
        while time.monotonic() < until:
            counted.append(root)
            time.sleep(0.001)
            yield Entry(("file",), "file", size=1)

    monkeypatch.setattr("packhouse.trees.walk", large)
    source = tmp_path / "source"
    source.mkdir()
    async with packhouse.open(folder) as store:
        await put._put_folder(store, str(source), 1 << 20)
        assert not counted
        monkeypatch.setattr(Meter, "watched", True, raising=False)
        began = time.monotonic()
        with anyio.move_on_after(0.2) as scope:
            await put._put_folder(store, str(source), 1 << 20)
        assert scope.cancelled_caught
        assert time.monotonic() - began < 3
        await anyio.sleep(0.1)
        before = len(counted)
        await anyio.sleep(0.1)
        assert len(counted) == before > 0
