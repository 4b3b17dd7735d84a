"""Storage that is no local folder: packed and verified by us, carried by Metaflow's own storage class."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from metaflow.datastore.datastore_storage import CloseAfterUse
from metaflow.exception import MetaflowException
from metaflow.plugins.datastores.local_storage import LocalStorage

from tests.metaflow.stores import OURS, STOCK, file_of, load, make, samples, save

stock_storage: Any = LocalStorage


class Bucket(stock_storage):  # type: ignore[misc]
    """As S3Storage does: results in any order, files that are gone when the `with` ends."""

    TYPE = "s3"

    def save_bytes(self, pairs: Any, overwrite: bool = False, len_hint: int = 0) -> None:
        stock_storage.save_bytes(self, pairs, overwrite=overwrite, len_hint=len_hint)

    def load_bytes(self, paths: list[str]) -> Any:
        folder = tempfile.mkdtemp()

        def rows() -> Iterator[tuple[str, str | None, Any]]:
            with stock_storage.load_bytes(self, list(reversed(paths))) as loaded:
                for number, (path, local, meta) in enumerate(loaded):
                    copy = shutil.copy(local, f"{folder}/{number}") if local else None
                    yield path, copy, meta

        class Closer:
            def close(self) -> None:
                shutil.rmtree(folder)

        close: Any = CloseAfterUse
        return close(rows(), closer=Closer())


def test_each_reads_what_the_other_wrote(tmp_path: Path) -> None:
    blobs = list(samples().values())
    for writer, reader in ((OURS, STOCK), (STOCK, OURS), (OURS, OURS)):
        folder = tmp_path / f"{writer is OURS}-{reader is OURS}"
        keys = save(make(writer, folder, Bucket), [*blobs, blobs[3]])
        assert load(make(reader, folder, Bucket), keys) == [*blobs, blobs[3]]
        again = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        assert save(make(OURS, folder, Bucket), blobs) == keys[:-1]
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == again, "known blobs were written again"


def test_raw_blobs_stay_raw(tmp_path: Path) -> None:
    [result] = make(OURS, tmp_path, Bucket).save_blobs(iter([b"a code package"]), raw=True)
    assert Path(result.uri).read_bytes() == b"a code package"
    assert load(make(OURS, tmp_path, Bucket), [result.key]) == [b"a code package"]


def test_damaged_and_missing_blobs_raise_with_their_key(tmp_path: Path) -> None:
    key, other = save(make(OURS, tmp_path, Bucket), [os.urandom(5000), b"other"])
    path = file_of(tmp_path, key)
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    with pytest.raises(MetaflowException, match=key):
        load(make(OURS, tmp_path, Bucket), [key])
    file_of(tmp_path, other).unlink()
    with pytest.raises(MetaflowException, match="is missing"):
        load(make(OURS, tmp_path, Bucket), [other])
