"""Wrong bytes are never returned, and saving again heals."""

from __future__ import annotations

import gzip
import json
import os
import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from metaflow.exception import MetaflowException

from packhouse.compat.metaflow.folder import GzipFolder, Read
from packhouse.compat.metaflow.verify import verify_datastore
from packhouse.errors import StorageError
from tests.metaflow.stores import MIB, STRIKES, file_of, load, numbers, ours, right_or_refused, save, stock

FLIPS = 4_000


@pytest.fixture
def quick_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder in memory, where there is one: each of the flips is noted, and a note is synced."""
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def _flip(path: Path, bit: int) -> None:
    content = bytearray(path.read_bytes())
    content[bit // 8 % len(content)] ^= 1 << bit % 8
    path.write_bytes(content)


@pytest.mark.parametrize("writer", [ours, stock], ids=["ours", "stock"])
@pytest.mark.parametrize("raw", [False, True], ids=["gzip", "raw"])
@pytest.mark.parametrize("size", [3_000, 2 * MIB + 5, 9 * MIB])
@pytest.mark.parametrize("strike", STRIKES)
def test_saving_again_heals_what_shows(tmp_path: Path, writer: Any, raw: bool, size: int, strike: str) -> None:
    blob = random.Random(3).randbytes(size)
    save(ours(tmp_path), [b"another"])
    [key] = save(writer(tmp_path), [blob], raw=raw)
    STRIKES[strike](file_of(tmp_path, key))
    if strike == "longer":
        right_or_refused(ours(tmp_path), key, blob)  # what follows the content may be ignored
    else:
        with pytest.raises(MetaflowException, match=r"missing|damaged"):
            load(ours(tmp_path), [key])
    assert save(ours(tmp_path), [blob]) == [key]
    assert load(ours(tmp_path), [key]) == [blob]
    assert load(stock(tmp_path), [key]) == [blob]
    assert not list((tmp_path / "Flow/data").glob("damage/*")), "a note outlived its healing"


@pytest.mark.parametrize("noticed_by", ["reading", "verify", "check"])
@pytest.mark.parametrize("size", [3_000, 9 * MIB])
def test_a_flipped_bit_is_healed_once_it_was_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, noticed_by: str, size: int
) -> None:
    blob = random.Random(4).randbytes(size)
    [key] = save(ours(tmp_path), [blob])
    _flip(file_of(tmp_path, key), 8 * size // 2)
    if noticed_by == "reading":
        with pytest.raises(MetaflowException, match="damaged"):
            load(ours(tmp_path), [key])
    elif noticed_by == "verify":
        assert [one.key for one in verify_datastore(str(tmp_path)).hurt] == [key]
    else:
        monkeypatch.setenv("METAFLOW_PACKHOUSE_CHECK", "1")
    save(ours(tmp_path), [blob])
    assert load(ours(tmp_path), [key]) == [blob]
    assert not list((tmp_path / "Flow/data").glob("damage/*"))


def _emptied(meta: Path) -> None:
    meta.write_bytes(b"")


def _contradicted(meta: Path) -> None:
    told = json.loads(meta.read_bytes())
    meta.write_text(json.dumps({**told, "cas_raw": not told["cas_raw"]}))


# Whether stock wrote the file raw, and what happens to what it wrote beside it.
DESCRIPTIONS: dict[str, tuple[bool, Callable[[Path], None]]] = {
    "emptied, gzip": (False, _emptied),
    "emptied, raw": (True, _emptied),
    "never written, raw": (True, Path.unlink),  # stock names the file first
    "of raw, gzip": (False, _contradicted),
    "of gzip, raw": (True, _contradicted),
}


@pytest.mark.parametrize("again_raw", [False, True], ids=["saved packed", "saved raw"])
@pytest.mark.parametrize("size", [3_000, 9 * MIB])
@pytest.mark.parametrize("what", DESCRIPTIONS)
def test_a_description_that_a_power_cut_took_is_healed_for_stock(
    tmp_path: Path, what: str, size: int, again_raw: bool
) -> None:
    raw, strike = DESCRIPTIONS[what]
    blob = random.Random(9).randbytes(size)
    [key] = save(stock(tmp_path), [blob], raw=raw)
    strike(file_of(tmp_path, key).with_name(f"{key}_meta"))
    assert [one.what for one in verify_datastore(str(tmp_path)).hurt] == ["not described"]
    assert load(ours(tmp_path), [key]) == [blob]
    save(ours(tmp_path), [blob], raw=again_raw)
    assert load(stock(tmp_path), [key]) == [blob]
    assert verify_datastore(str(tmp_path)).hurt == []


@pytest.mark.parametrize("size", [10, 300_000])
def test_raw_content_that_is_gzip_itself_is_known_when_it_is_saved_again(tmp_path: Path, size: int) -> None:
    package = gzip.compress(random.Random(10).randbytes(size))
    [key] = save(ours(tmp_path), [package], raw=True)
    before = file_of(tmp_path, key).stat().st_ino
    assert verify_datastore(str(tmp_path)).hurt == []
    save(ours(tmp_path), [package], raw=True)
    assert file_of(tmp_path, key).stat().st_ino == before, "a code package is written anew by every run"
    assert load(stock(tmp_path), [key]) == [package]
    file_of(tmp_path, key).with_name(f"{key}_meta").unlink()
    assert [one.what for one in verify_datastore(str(tmp_path)).hurt] == ["not described"]
    save(ours(tmp_path), [package], raw=True)
    assert load(stock(tmp_path), [key]) == [package]


def test_a_disk_that_fails_is_not_told_as_a_damaged_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [key] = save(ours(tmp_path), [b"sound"])
    failed = StorageError("read: input/output error", kind="io")
    monkeypatch.setattr(GzipFolder, "load", lambda _, keys: (Read(key, failed) for key in keys))
    with pytest.raises(MetaflowException, match=r"cannot be read .*input/output error") as caught:
        load(ours(tmp_path), [key])
    assert "damaged" not in str(caught.value)
    assert caught.value.__cause__ is failed


def test_no_flipped_bit_gives_wrong_bytes(quick_folder: Path) -> None:
    """Single bits of files that ours and stock wrote, packed and raw: the right bytes or an error, nothing else."""
    dice = random.Random(5)
    text = "".join(f"{dice.random()}\n" for _ in range(3_000)).encode()
    kinds: list[tuple[str, Any, bytes, bool]] = [
        ("ours, packed", ours, text, False),
        ("ours, stored", ours, dice.randbytes(6_000), False),
        ("ours, members", ours, text * 20, False),
        ("ours, numbers", ours, numbers(5_000), False),
        ("ours, raw", ours, dice.randbytes(3_000), True),
        ("stock, packed", stock, text[:20_000], False),
        ("stock, raw", stock, dice.randbytes(3_001), True),
    ]
    flipped = survived = 0
    for name, writer, blob, raw in kinds:
        folder = quick_folder / name
        [key] = save(writer(folder), [blob], raw=raw)
        path = file_of(folder, key)
        sound = path.read_bytes()
        bits = range(8 * len(sound))
        anywhere = dice.sample(bits, -(-FLIPS // len(kinds)))
        for bit in (*bits[: 8 * 24], *bits[-8 * 24 :]):  # header and trailer, every bit of them
            path.write_bytes(sound)
            _flip(path, bit)
            right_or_refused(ours(folder), key, blob)
        for bit in anywhere:
            path.write_bytes(sound)
            _flip(path, bit)
            survived += right_or_refused(ours(folder), key, blob)
        flipped += len(anywhere)
        path.write_bytes(sound)
        assert load(ours(folder), [key]) == [blob]
    assert flipped >= FLIPS
    assert survived < FLIPS / 20, "flips in a frame leave the content as it is; so many, anywhere in the files, cannot"


def test_verify_finds_every_flip_that_stock_could_trip_over(quick_folder: Path) -> None:
    blob = random.Random(8).randbytes(300)
    [key] = save(ours(quick_folder), [blob])
    path = file_of(quick_folder, key)
    sound = path.read_bytes()
    for bit in range(8 * len(sound)):
        path.write_bytes(sound)
        _flip(path, bit)
        try:
            readable = load(stock(quick_folder), [key]) == [blob]
        except Exception:  # noqa: BLE001 - stock raises whatever gzip and struct raise
            readable = False
        assert readable or verify_datastore(str(quick_folder)).hurt, f"bit {bit} goes unnoticed"


def test_no_truncation_gives_wrong_bytes(quick_folder: Path) -> None:
    blob = random.Random(6).randbytes(2_000)
    [key] = save(ours(quick_folder), [blob])
    path = file_of(quick_folder, key)
    sound = path.read_bytes()
    for length in range(len(sound)):
        path.write_bytes(sound[:length])
        right_or_refused(ours(quick_folder), key, blob)


class Vanishing:
    """Entries of a folder, one of which is moved away as soon as it is looked at."""

    def __init__(self, entries: Any, name: str) -> None:
        self._entries = entries
        self._name = name

    def __enter__(self) -> Iterator[Any]:
        return (Vanished(entry) if entry.name == self._name else entry for entry in self._entries)

    def __exit__(self, *error: object) -> None:
        self._entries.close()


class Vanished:
    def __init__(self, entry: os.DirEntry[str]) -> None:
        self._entry = entry
        self.is_dir = entry.is_dir

    @property
    def name(self) -> str:
        self._remove()
        return self._entry.name

    def stat(self) -> os.stat_result:
        self._remove()
        return self._entry.stat()

    def _remove(self) -> None:
        path = Path(self._entry.path)
        if path.exists():
            path.rename(path.parents[len(path.parts) - 1 - path.parts.index("Flow")] / "removed")


@pytest.mark.parametrize("what", ["a run", "a temporary file", "a record", "a blob"])
def test_verify_misses_nothing_while_something_else_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    key, unused = save(ours(tmp_path), [b"lost", b"nobody's"])
    folders = [tmp_path / "Flow" / run / "start" / "1" for run in ("7", "8")]
    for folder in folders:
        folder.mkdir(parents=True)
        (folder / "0.data.json").write_text(json.dumps({"objects": {"wanted": key}}))
    (folders[1] / "tmpx3").touch()
    other = folders[1] / "1.data.json"
    other.write_text("{}")
    file_of(tmp_path, key).unlink()
    removed = {"a run": "7", "a temporary file": "tmpx3", "a record": other.name, "a blob": unused}[what]
    scandir = os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: Vanishing(scandir(path), removed))
    report = verify_datastore(str(tmp_path))
    assert [(one.key, one.what) for one in report.hurt] == [(key, "missing")]
    assert "8/start/1" in {user.task for user in report.hurt[0].users}
    assert report.unreadable == []
