"""A folder comes back as it was, and a stranger's manifest cannot reach outside it."""

from __future__ import annotations

import errno
import os
import stat
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import packhouse
from packhouse.trees import HEADER, decode_entry, saving

_DEEP = 1_200


def shape(root: Path) -> dict[str, tuple[str, int, bytes | str]]:
    found: dict[str, tuple[str, int, bytes | str]] = {}
    for path in sorted(root.rglob("*")):
        name, status = os.fsencode(path.relative_to(root)).hex(), path.lstat()
        mode = stat.S_IMODE(status.st_mode)
        if path.is_symlink():
            found[name] = ("link", 0, os.readlink(path))  # noqa: PTH115 - as it stands
        elif path.is_dir():
            found[name] = ("dir", mode, "")
        else:
            found[name] = ("file", mode, path.read_bytes())
    return found


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    root = tmp_path / "tree"
    (root / "sub" / "deep").mkdir(parents=True)
    (root / "empty folder").mkdir()
    (root / "a.txt").write_bytes(b"a")
    (root / "sub" / "large").write_bytes(os.urandom(9_000_000))
    (root / "sub" / "deep" / "empty").write_bytes(b"")
    (root / "sub.txt").write_bytes(b"beside sub")
    (root / "run.sh").write_bytes(b"#!/bin/sh\n")
    (root / "run.sh").chmod(0o755)
    (root / "sub" / "deep").chmod(0o500)
    (root / "link").symlink_to("sub/large")
    (root / "dangling").symlink_to("/nowhere/at/all")
    (root / "größe").write_bytes("ü".encode())
    (root / os.fsdecode(b"not utf-8 \xff")).write_bytes(b"bytes")
    for number in range(700):
        (root / "sub" / f"{number:03}").write_bytes(str(number).encode())
    return root


async def test_a_folder_comes_back_as_it_was(store: packhouse.BlobStore, tree: Path, tmp_path: Path) -> None:
    steps: list[packhouse.Progress] = []
    saved = await store.save_tree(tree, progress=steps.append)
    assert steps[-1].blobs == 707
    await store.restore_tree(saved, tmp_path / "new" / "place")
    assert shape(tmp_path / "new" / "place") == shape(tree)
    assert (await store.save_tree(tree)).existed
    with pytest.raises(packhouse.StorageError, match="File exists") as caught:
        await store.restore_tree(saved.key, tmp_path / "new" / "place")
    assert caught.value.kind == "target-exists"


async def test_a_tree_of_empty_files_and_folders_is_not_held_whole(
    store: packhouse.BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    most = 0

    class Watched(deque[Any]):
        def append(self, entry: Any) -> None:
            nonlocal most
            super().append(entry)
            most = max(most, len(self))

    root = tmp_path / "tree"
    for number in range(300):
        (root / "folders only" / f"{number:03}").mkdir(parents=True)
    for number in range(320):
        (root / f"{number:03}").write_bytes(b"")
    (root / "z").symlink_to("000")
    whole = await store.save_tree(root)
    monkeypatch.setattr(saving, "deque", Watched)
    monkeypatch.setattr(saving, "_WALKED_AT_ONCE", 16)
    monkeypatch.setattr(saving, "_HELD", 64)
    assert (await store.save_tree(root)).key == whole.key
    assert 0 < most <= 64
    await store.restore_tree(whole, tmp_path / "again")
    assert shape(tmp_path / "again") == shape(root)


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[Path]:
    """A folder so deep that nothing which recurses comes to its end."""
    root = tmp_path / "deep"
    root.mkdir()
    back = os.open(".", os.O_RDONLY)
    os.chdir(root)
    for _ in range(_DEEP):
        Path("d").mkdir()
        os.chdir("d")
    Path("file").write_bytes(b"at the end")
    yield root
    Path("file").unlink()
    for _ in range(_DEEP):
        os.chdir("..")
        Path("d").rmdir()
    os.fchdir(back)
    os.close(back)


async def test_a_very_deep_folder_is_saved(store: packhouse.BlobStore, deep: Path) -> None:
    saved = await store.save_tree(deep)
    lines = (await store.load(saved)).splitlines()
    assert len(lines) == 1 + _DEEP + 1
    assert decode_entry(lines[-1], saved.key).parts == ("d",) * _DEEP + ("file",)


async def test_a_folder_that_was_there_keeps_its_permissions(store: packhouse.BlobStore, tmp_path: Path) -> None:
    lines = b'{"path":"new","type":"dir","mode":457}\n{"path":"old","type":"dir","mode":511}\n'
    (tree,) = await store.save_blobs([HEADER + lines])
    (tmp_path / "out" / "old").mkdir(parents=True)
    (tmp_path / "out" / "old").chmod(0o700)
    await store.restore_tree(tree, tmp_path / "out")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "out").iterdir()}
    assert modes == {"old": 0o700, "new": 0o711}


async def test_an_empty_folder_comes_back(store: packhouse.BlobStore, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    saved = await store.save_tree(str(tmp_path / "empty"))
    await store.restore_tree(saved.key, tmp_path / "again")
    assert shape(tmp_path / "again") == {}


async def test_what_cannot_be_saved_is_named(store: packhouse.BlobStore, tmp_path: Path) -> None:
    with pytest.raises(packhouse.StorageError, match="nowhere") as caught:
        await store.save_tree(tmp_path / "nowhere")
    assert caught.value.kind == "source-missing"
    (tmp_path / "with pipe").mkdir()
    os.mkfifo(tmp_path / "with pipe" / "pipe")
    with pytest.raises(packhouse.InvalidInput, match="pipe") as invalid:
        await store.save_tree(tmp_path / "with pipe")
    with pytest.raises(packhouse.InvalidInput, match="commit_every"):
        await store.save_tree(tmp_path, commit_every=0)
    assert invalid.value.kind == "tree-item"


BLOB = '"size":4,"key":"{key}"'
HOSTILE = [
    '{"path":"../escaped","type":"file","mode":420,' + BLOB + "}",
    '{"path":"/escaped","type":"file","mode":420,' + BLOB + "}",
    '{"path":"a/../../escaped","type":"file","mode":420,' + BLOB + "}",
    '{"path":"..","type":"dir","mode":493}',
    '{"path":"","type":"dir","mode":493}',
    '{"path":"a//b","type":"dir","mode":493}',
    '{"path":"a\\u0000b","type":"dir","mode":493}',
    '{"path":"a","type":"device","mode":493}',
    '{"path":"a","type":"dir","mode":-1}',
    '{"path":"a","type":"dir","mode":"x"}',
    '{"path":"a","type":"file","mode":420,"size":4,"key":"short"}',
    '{"path":5,"type":"dir","mode":493}',
    '{"type":"dir","mode":493}',
    "[]",
    "5",
    "not json",
    '{"path_b64":"****","type":"dir"}',
    '{"path_b64":"Li4=","type":"dir"}',
    '{"path":"a","type":"file","mode":420,"size":"4","key":"{key}"}',
    '{"path":"a","type":"link","target":""}',
    '{"path":"a","type":"link","target":"b\\u0000c"}',
    '{"path":"a","type":"link","target":"/tmp"}\n{"path":"a/b","type":"dir","mode":493}',
    '{"path":"a","type":"link","target":"/tmp"}\n{"path":"a/b/c","type":"file","mode":420,' + BLOB + "}",
    '{"path":"a","type":"file","mode":420,' + BLOB + '}\n{"path":"a/b","type":"dir","mode":493}',
    '{"path":"a","type":"link","target":"/tmp"}\n{"path":"b","type":"dir"}\n{"path":"a/b","type":"dir"}',
    '{"path":"a/b","type":"dir"}\n{"path":"a","type":"link","target":"/tmp"}',
    '{"path":"a","type":"link","target":"/tmp"}\n{"path":"a","type":"dir"}',
    '{"path":"a","type":"dir"}\n{"path":"a","type":"dir"}',
]


@pytest.mark.parametrize("line", HOSTILE)
async def test_a_manifest_that_would_leave_the_folder_is_refused(
    store: packhouse.BlobStore, tmp_path: Path, line: str
) -> None:
    (blob,) = await store.save_blobs([b"evil"])
    manifest = HEADER + line.replace("{key}", blob.key).encode() + b"\n"
    (tree,) = await store.save_blobs([manifest])
    with pytest.raises(packhouse.CorruptBlob) as caught:
        await store.restore_tree(tree, tmp_path / "out")
    assert caught.value.kind == "tree"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"], "not even the folder was made"


@pytest.mark.parametrize("line", HOSTILE)
async def test_nothing_is_written_before_the_last_line_was_checked(
    store: packhouse.BlobStore, tmp_path: Path, line: str
) -> None:
    (blob,) = await store.save_blobs([b"good"])
    fields = f'"type":"file","mode":420,"size":4,"key":"{blob.key}"'
    good = "".join(f'{{"path":"A{number:03}",{fields}}}\n' for number in range(600))
    (tree,) = await store.save_blobs([HEADER + (good + line.replace("{key}", blob.key)).encode() + b"\n"])
    with pytest.raises(packhouse.CorruptBlob) as caught:
        await store.restore_tree(tree, tmp_path / "out")
    assert caught.value.kind == "tree"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["store"]


async def test_planted_links_are_not_followed(store: packhouse.BlobStore, tmp_path: Path) -> None:
    (blob,) = await store.save_blobs([b"evil"])
    (tmp_path / "outside").mkdir()
    file = f'{{"path":"trap/file","type":"file","mode":420,"size":4,"key":"{blob.key}"}}\n'
    link = f'{{"path":"trap","type":"link","target":"{tmp_path / "outside"}"}}\n'
    (tree,) = await store.save_blobs([HEADER + link.encode() + file.encode()])
    with pytest.raises(packhouse.CorruptBlob, match="'trap/file' is below a link"):
        await store.restore_tree(tree, tmp_path / "one")
    assert not (tmp_path / "one").exists()
    (plain,) = await store.save_blobs([HEADER + file.encode()])
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "trap").symlink_to(tmp_path / "outside")
    with pytest.raises(packhouse.StorageError):
        await store.restore_tree(plain, tmp_path / "two")
    assert list((tmp_path / "outside").iterdir()) == []


async def test_no_set_user_id_bits_come_from_a_manifest(store: packhouse.BlobStore, tmp_path: Path) -> None:
    (blob,) = await store.save_blobs([b"evil"])
    file = f'{{"path":"tool","type":"file","mode":2541,"size":4,"key":"{blob.key}"}}\n'
    (tree,) = await store.save_blobs([HEADER + file.encode()])
    await store.restore_tree(tree, tmp_path / "out")
    assert stat.S_IMODE((tmp_path / "out" / "tool").stat().st_mode) == 0o755


async def test_what_is_no_tree_or_not_there_is_said(store: packhouse.BlobStore, tmp_path: Path) -> None:
    (blob,) = await store.save_blobs([b"no tree"])
    with pytest.raises(packhouse.CorruptBlob, match="no tree"):
        await store.restore_tree(blob, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    missing = HEADER + b'{"path":"x","type":"file","mode":420,"size":4,"key":"' + b"0" * 64 + b'"}\n'
    (tree,) = await store.save_blobs([missing])
    with pytest.raises(packhouse.BlobNotFound, match="'x'"):
        await store.restore_tree(tree, tmp_path / "out")
    (cut,) = await store.save_blobs([missing[:-1]])
    with pytest.raises(packhouse.CorruptBlob, match="cut short"):
        await store.restore_tree(cut, tmp_path / "out")


async def test_a_folder_of_somebody_else_is_named_and_nothing_stays_open(
    store: packhouse.BlobStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tree" / "theirs" / "deep").mkdir(parents=True)
    saved = await store.save_tree(tmp_path / "tree")
    await store.restore_tree(saved, tmp_path / "first")  # whatever is opened once is open now

    def refuse(fd: int, mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    before = len(list(Path("/proc/self/fd").iterdir()))
    monkeypatch.setattr(os, "fchmod", refuse)
    with pytest.raises(packhouse.StorageError, match="theirs/deep") as caught:
        await store.restore_tree(saved, tmp_path / "second")
    assert (caught.value.kind, caught.value.errno) == ("target-unwritable", errno.EPERM)
    assert len(list(Path("/proc/self/fd").iterdir())) == before


async def test_damage_in_a_tree_is_told_as_damage(store: packhouse.BlobStore, folder: Path, tmp_path: Path) -> None:
    content = os.urandom(100_000)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "file").write_bytes(content)
    saved = await store.save_tree(tmp_path / "tree")
    [(path, whole)] = [
        (path, path.read_bytes()) for path in folder.rglob("*") if path.is_file() and content in path.read_bytes()
    ]
    path.chmod(0o600)
    path.write_bytes(whole.replace(content, content[:-1] + bytes([content[-1] ^ 1])))
    with pytest.raises(packhouse.CorruptBlob):
        await store.restore_tree(saved, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []
