"""Errors can be told apart: by class, by the builtin one would expect, and by kinds that are all written down."""

from __future__ import annotations

import pickle
import re
from pathlib import Path

import pytest

import packhouse
from packhouse import errors

ROOT = Path(__file__).resolve().parents[1]
CLASSES = [getattr(errors, name) for name in errors.__all__ if name not in ("KINDS", "KindEntry")]


def causes_in_rust() -> set[str]:
    """Read every cause out of the sources; tests at a file's end are left out."""
    found: set[str] = set()
    for path in [*(ROOT / "rust/engine/src").rglob("*.rs"), *(ROOT / "rust/bindings/src").rglob("*.rs")]:
        if "tests" in path.parts or path.stem == "tests":
            continue
        text = path.read_text("utf-8").split("#[cfg(test)]\nmod tests")[0]
        patterns = [
            r'Error::new\(\s*(?:\w+::)*Kind::\w+,\s*"([a-z-]+)"',
            r'Error::(?:corrupt|invalid)\(\s*"([a-z-]+)"',
            r'recast\(\s*Kind::\w+,\s*"([a-z-]+)"',
            r'What\("([a-z-]+)"',
            r'\.newer\(\s*"([a-z-]+)"',
            r'errors::(?:invalid|closed)\(\s*py,\s*"([a-z-]+)"',
            r'io::ErrorKind::\w+ => "([a-z-]+)"',
        ]
        for pattern in patterns:
            found |= set(re.findall(pattern, text))
    return found - {"test"}


def causes_in_python() -> set[str]:
    found = {each.default_kind for each in CLASSES}
    for path in (ROOT / "python/packhouse").rglob("*.py"):
        found |= set(re.findall(r'kind="([a-z-]+)"', path.read_text("utf-8")))
        found |= set(re.findall(r'_complain\(.+, "([a-z-]+)", as_json', path.read_text("utf-8")))
        found |= set(re.findall(r'\bCase\(\s*\w+, "([a-z-]+)"', path.read_text("utf-8")))
        found |= set(re.findall(r'kind = "([a-z-]+)" if', path.read_text("utf-8")))
        found |= set(re.findall(r'kind = "[a-z-]+" if .* else "([a-z-]+)"', path.read_text("utf-8")))
    return found


def test_every_kind_is_written_down_and_every_written_kind_exists() -> None:
    written = set(errors.KINDS)
    raised = causes_in_rust() | causes_in_python()
    assert raised - written == set()
    assert written - raised - {"internal", "io", "cancelled"} == set()


def test_there_are_at_most_twelve_classes_in_one_tree() -> None:
    assert len(CLASSES) <= 12
    assert all(issubclass(each, packhouse.PackhouseError) for each in CLASSES)
    assert all(each.__name__ in (errors.__doc__ or "") for each in CLASSES)
    assert {entry.error for entry in errors.KINDS.values()} <= set(CLASSES)


@pytest.mark.parametrize(
    ("error", "builtin"),
    [
        (packhouse.BlobNotFound, KeyError),
        (packhouse.CorruptBlob, OSError),
        (packhouse.CommitUncertain, OSError),
        (packhouse.InvalidInput, ValueError),
        (packhouse.InvalidInput, TypeError),
        (packhouse.StoreNotFound, FileNotFoundError),
        (packhouse.UnsupportedStore, NotImplementedError),
        (packhouse.ReadOnlyStore, PermissionError),
        (packhouse.NameNotFound, KeyError),
        (packhouse.NameConflict, RuntimeError),
        (packhouse.StorageError, OSError),
        (packhouse.StoreClosed, RuntimeError),
    ],
)
def test_each_class_is_the_builtin_one_would_expect(
    error: type[packhouse.PackhouseError], builtin: type[Exception]
) -> None:
    raised = error("could not", kind="x", errno=28)
    assert isinstance(raised, builtin)
    assert (str(raised), raised.kind, raised.errno) == ("could not", "x", 28)
    vars(raised)["batch_id"] = "b"
    copy = pickle.loads(pickle.dumps(raised))
    assert type(copy) is error
    assert (str(copy), copy.kind, copy.errno, vars(copy)["batch_id"]) == ("could not", "x", 28, "b")


async def test_what_was_wrong_is_said_where(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(packhouse.StoreNotFound, match="missing") as caught:
        async with packhouse.open(tmp_path / "missing", create=False):
            pass
    assert caught.value.kind == "no-store"
    (tmp_path / "file").write_text("no store")
    with pytest.raises(packhouse.StoreNotFound, match="file"):
        async with packhouse.open(tmp_path / "file"):
            pass
    with pytest.raises(packhouse.StoreNotFound, match="other things") as caught:
        async with packhouse.open(tmp_path):
            pass
    assert caught.value.kind == "not-empty"
    async with packhouse.open(folder) as store:
        (blob,) = await store.save_blobs([b"blob"])
        for key in ("", "A" * 64, "0" * 63, 5, None, b"0" * 64):
            with pytest.raises(ValueError, match="64 lower-case hex digits"):
                await store.load(key)  # type: ignore[arg-type]
        for batch in ("", "0" * 31, None):
            with pytest.raises(packhouse.InvalidInput, match="batch id"):
                await store.committed(batch)  # type: ignore[arg-type]
        assert await store.committed("0" * 32) in (False, None)
    async with packhouse.open(folder, mode="r") as store:
        assert await store.load(blob) == b"blob"
        with pytest.raises(PermissionError, match="save_blobs"):
            await store.save_blobs([b"x"])
    with pytest.raises(packhouse.StoreClosed, match="not open"):
        await store.load(blob)
    for url in ("http://x", "", 5, "memory://name", "file://host/path"):
        with pytest.raises(packhouse.InvalidInput):
            packhouse.open(url)  # type: ignore[arg-type]


async def test_a_store_of_a_newer_format_is_refused_by_name(folder: Path) -> None:
    async with packhouse.open(folder):
        pass
    settings = folder / "store.json"
    text = settings.read_text("utf-8")
    settings.write_text(text.replace("packhouse-store 1", "packhouse-store 2", 1), "utf-8")
    with pytest.raises(packhouse.UnsupportedStore, match="version"):
        async with packhouse.open(folder):
            pass
    settings.write_text(text[:-20], "utf-8")
    with pytest.raises(packhouse.CorruptBlob, match="settings") as caught:
        async with packhouse.open(folder):
            pass
    assert caught.value.kind == "settings"


async def test_bad_items_save_nothing_and_are_named(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("text")
    async with packhouse.open(folder) as store:
        for bad, hint in ((5, "int"), ("text", "encode"), (None, "NoneType"), ([b"x"], "list")):
            with pytest.raises(packhouse.InvalidInput, match=rf"item 1 is of type .*{hint}"):
                await store.save_blobs([b"first", bad])  # type: ignore[list-item]
        with (tmp_path / "text").open("r") as file, pytest.raises(TypeError, match="binary"):
            await store.save_blobs([b"first", file])  # type: ignore[list-item]
        with pytest.raises(packhouse.InvalidInput, match="piece of item 1"):
            await store.save_blobs([b"first", iter([b"a", "b"])])  # type: ignore[list-item]
        for blobs in (b"bytes", "text", 5):
            with pytest.raises(packhouse.InvalidInput, match="iterable"):
                await store.save_blobs(blobs)  # type: ignore[arg-type]
        with pytest.raises(packhouse.StorageError, match=r"item 1.*nowhere") as caught:
            await store.save_blobs([b"first", tmp_path / "nowhere"])
        assert (caught.value.kind, caught.value.errno) == ("source-missing", 2)
        with pytest.raises(packhouse.StorageError, match="folder"):
            await store.save_blobs([b"first", tmp_path])
        assert store.stats().batches == 0
        assert (await store.verify()).packs == 0


async def test_a_file_that_changes_while_it_is_read_is_an_error(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "growing"
    path.write_bytes(b"x" * 20_000_000)

    async with packhouse.open(folder) as store:
        seen = 0

        def grow(progress: packhouse.Progress) -> None:
            nonlocal seen
            seen = progress.blobs

        from packhouse.files import PathSource  # noqa: PLC0415 - the reader alone

        source = PathSource(str(path), "item 0")
        assert source.piece()
        with path.open("ab") as file:
            file.write(b"more")
        with pytest.raises(packhouse.StorageError, match="changed while it was read") as caught:
            list(iter(source.piece, b""))
        source.close()
        assert caught.value.kind == "source-changed"
        assert await store.save_blobs([path], progress=grow)
        assert seen == 1
