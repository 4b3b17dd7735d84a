"""What users lose when a later packhouse no longer reads what an earlier one wrote."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

import pytest

import packhouse.sync
from tests.format import make_golden
from tests.format.reader import Blob, Entry, read_pack, rows
from tests.format.reader import Store as Reader

GOLDEN = Path(__file__).with_name("golden")
VERSIONS = sorted(path.name.removesuffix(".tar.xz") for path in GOLDEN.glob("store-*.tar.xz"))


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(version: str, tmp_path: Path) -> Path:
    with tarfile.open(GOLDEN / f"{version}.tar.xz") as archive:
        archive.extractall(tmp_path, filter="data")
    return tmp_path / "store"


@pytest.fixture
def keys(version: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((GOLDEN / f"{version}.json").read_text())
    return found


def files_of(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_blobs_documents_and_folders_of_an_earlier_version_are_read(
    store: Path, keys: dict[str, str], tmp_path: Path
) -> None:
    before = files_of(store)
    with packhouse.sync.open(store, mode="r") as opened:
        for name, blob in make_golden.blobs().items():
            assert bytes(opened.load(keys[name])) == blob
            assert opened.load_range(keys[name], len(blob) // 3, len(blob)) == blob[len(blob) // 3 :]
        for name, doc in make_golden.documents().items():
            found = opened.names.get(name)
            assert (found.doc, list(found.refs)) == (doc, [keys["one"]])
        opened.restore_tree(keys["tree"], tmp_path / "restored")
        report = opened.verify()
    assert not report.findings
    assert (tmp_path / "restored" / "link").read_bytes() == b"in a folder\n"
    assert files_of(store) == before, "reading changed the store"


def test_an_earlier_version_is_written_to_and_deduplicates(store: Path, keys: dict[str, str]) -> None:
    content = make_golden.blobs()
    with packhouse.sync.open(store) as opened:
        saved = opened.save_blobs([*content.values(), b"new"])
        assert [blob.key for blob in saved[:-1]] == [keys[name] for name in content]
        assert [blob.existed for blob in saved] == [True] * len(content) + [False]
        opened.names.put("plain", {"n": 2})
        assert not opened.verify().findings


def test_packs_alone_hold_what_the_index_says_of_them(store: Path) -> None:
    reader = Reader(store)
    segments = reader.segments
    entries = {Entry.read(row) for one in segments for row in rows(b"".join(one.chunks), 64)}
    blobs = {Blob.read(row) for one in segments for row in rows(b"".join(one.blobs), 96)}
    named = {row[:16] for one in segments for row in rows(b"".join(one.packs), 32)}
    footers = [read_pack(reader.pack(pack)) for pack in sorted(named)]
    # The number of a batch counts the records of the file that it stands in.
    assert {one._replace(batch=None) for footer in footers for one in footer.entries} == {
        one._replace(batch=None) for one in entries
    }
    assert {one._replace(batch=0) for footer in footers for one in footer.blobs} == {
        one._replace(batch=0) for one in blobs
    }
    wrote = {record.batch for footer in footers for record in footer.records}
    assert wrote
    assert wrote <= {record.batch for one in segments for record in one.records} | {
        row[32:] for one in segments for row in rows(b"".join(one.pins), 48)
    }


def test_the_page_of_the_format_reads_an_earlier_version(store: Path, keys: dict[str, str]) -> None:
    reader = Reader(store)
    for name, blob in make_golden.blobs().items():
        assert reader.load(keys[name]) == blob
