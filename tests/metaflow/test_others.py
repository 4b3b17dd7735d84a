"""What others put beside our files, or in their place: other writers, caches, keys and containers."""

from __future__ import annotations

import gzip
import hashlib
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from metaflow.datastore.content_addressed_store import BlobCache
from metaflow.exception import MetaflowException

from tests.metaflow.stores import file_of, load, ours, save, stock


def test_the_blob_cache_is_asked_first_and_told_everything(tmp_path: Path) -> None:
    class Cache(BlobCache):
        def __init__(self) -> None:
            self.held: dict[str, bytes] = {}

        def load_key(self, key: str) -> bytes | None:
            return self.held.get(key)

        def store_key(self, key: str, blob: bytes) -> None:
            self.held[key] = blob

    keys = save(ours(tmp_path), [b"one", b"two"])
    store = ours(tmp_path)
    cache = Cache()
    store.set_blob_cache(cache)
    assert load(store, keys) == [b"one", b"two"]
    assert cache.held == dict(zip(keys, [b"one", b"two"], strict=True))
    for key in keys:
        file_of(tmp_path, key).unlink()
    assert load(store, keys) == [b"one", b"two"]


def test_a_missing_blob_is_named_with_its_file(tmp_path: Path) -> None:
    [key] = save(ours(tmp_path), [b"there"])
    absent = hashlib.sha1(b"absent").hexdigest()
    rows = ours(tmp_path).load_blobs([key, absent])
    assert next(rows) == (key, b"there")
    with pytest.raises(MetaflowException, match="is missing") as raised:
        next(rows)
    assert absent in str(raised.value)
    assert str(file_of(tmp_path, absent)) in str(raised.value)


def test_keys_that_are_no_sha1_are_loaded_unverified(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    long = "ab" * 32
    path = file_of(tmp_path, long)
    path.parent.mkdir(parents=True)
    path.write_bytes(gzip.compress(b"by another extension"))
    with caplog.at_level("DEBUG", "packhouse.metaflow"):
        assert load(ours(tmp_path), [long]) == [b"by another extension"]
    assert any("not verified" in record.message for record in caplog.records)


def test_mixed_writers_of_the_same_blobs_at_once_leave_every_one_readable(tmp_path: Path) -> None:
    program = """
import random, sys
from pathlib import Path
from tests.metaflow.stores import ours, save, stock
kind, seed = sys.argv[2], int(sys.argv[3])
blobs = [random.Random(n).randbytes(3000 + 7 * n) for n in range(150)]
random.Random(seed).shuffle(blobs)
for blob in blobs:
    save({"ours": ours, "stock": stock}[kind](Path(sys.argv[1])), [blob])
"""
    kinds = ["ours", "stock", "ours", "stock"]
    writers = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path), kind, str(seed)])
        for seed, kind in enumerate(kinds)
    ]
    assert [writer.wait() for writer in writers] == [0] * len(kinds)
    blobs = [random.Random(n).randbytes(3000 + 7 * n) for n in range(150)]
    keys = [hashlib.sha1(blob).hexdigest() for blob in blobs]
    assert load(ours(tmp_path), keys) == blobs
    assert load(stock(tmp_path), keys) == blobs


def test_a_file_that_lies_about_its_size_costs_no_memory(tmp_path: Path) -> None:
    [key] = save(stock(tmp_path), [b"short"])
    path = file_of(tmp_path, key)
    path.write_bytes(path.read_bytes()[:-4] + b"\xff\xff\xff\xff")
    with pytest.raises(MetaflowException, match="damaged"):
        load(ours(tmp_path), [key])


def test_gzip_of_several_members_by_others_is_read(tmp_path: Path) -> None:
    blob = random.Random(7).randbytes(100_000) * 20
    [key] = save(stock(tmp_path), [blob])
    file_of(tmp_path, key).write_bytes(gzip.compress(blob[:1000]) + gzip.compress(blob[1000:]))
    assert load(ours(tmp_path), [key]) == [blob]
    assert save(ours(tmp_path), [blob]) == [key]


def test_description_of_a_raw_blob_is_stock_s(tmp_path: Path) -> None:
    [key] = save(ours(tmp_path), [b"raw"], raw=True)
    meta = file_of(tmp_path, key).with_name(f"{key}_meta")
    assert json.loads(meta.read_bytes()) == {"cas_raw": True, "cas_version": 1}
