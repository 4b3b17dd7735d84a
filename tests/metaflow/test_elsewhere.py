"""Storage that is no local folder: packed and verified by us, carried by Metaflow's own storage class."""

from __future__ import annotations

import json
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

from packhouse.compat.metaflow import pack_missing, unpack
from tests.metaflow.stores import MIB, OURS, STOCK, STRIKES, file_of, load, make, right_or_refused, samples, save

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


def _record(folder: Path, run: str, objects: dict[str, str]) -> None:
    task = folder / "Flow" / run / "fit" / "7"
    task.mkdir(parents=True)
    (task / "0.data.json").write_text(json.dumps({"objects": objects}))


def test_damaged_and_missing_blobs_raise_with_artifact_key_and_file(tmp_path: Path) -> None:
    key, other = save(make(OURS, tmp_path, Bucket), [os.urandom(5000), b"other"])
    _record(tmp_path, "9", {"older": key})
    _record(tmp_path, "10", {"weights": key, "sound": "x" * 40})
    path = file_of(tmp_path, key)
    path.write_bytes(path.read_bytes()[:-100] + bytes(100))
    with pytest.raises(MetaflowException, match=f"^Flow/10/fit/7/weights cannot be read: the file {path} of key {key}"):
        load(make(OURS, tmp_path, Bucket), [key])
    file_of(tmp_path, other).unlink()
    with pytest.raises(MetaflowException, match=r"^an artifact of Flow cannot be read.*is missing"):
        load(make(OURS, tmp_path, Bucket), [other])


def test_files_that_were_handed_over_to_be_unpacked_are_held_once() -> None:
    blobs = [os.urandom(3 * MIB), b"small"]
    files = [(packed.key, packed.file or b"") for packed in pack_missing(blobs, lambda _: ())]
    reads = unpack(files)
    assert next(reads).outcome == blobs[0]
    assert files == [], "Python's copies of the files are kept beside the engine's"
    assert next(reads).outcome == blobs[1]


class Unlistable(Bucket):
    def list_content(self, paths: Any) -> Any:
        raise PermissionError(paths)


def test_a_storage_that_may_not_be_listed_still_tells_of_damage(tmp_path: Path) -> None:
    [key] = save(make(OURS, tmp_path, Unlistable), [os.urandom(5000)])
    file_of(tmp_path, key).unlink()
    with pytest.raises(MetaflowException, match=f"{key} is missing"):
        load(make(OURS, tmp_path, Unlistable), [key])


SHOWS = ["empty", "missing"]
"""What a length tells; of an object that is there nothing else is known without reading it."""


@pytest.mark.parametrize("size", [0, 1, 15, 3_000, 9 * MIB])
@pytest.mark.parametrize(
    ("strike", "noticed_by"),
    [(strike, "nobody") for strike in SHOWS]
    + [(strike, by) for strike in STRIKES for by in ("a load", "the variable")],
)
def test_saving_again_heals_what_was_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, strike: str, noticed_by: str
) -> None:
    blob = os.urandom(size)
    save(make(OURS, tmp_path, Bucket), [b"another"])
    [key] = save(make(OURS, tmp_path, Bucket), [blob])
    STRIKES[strike](file_of(tmp_path, key))
    if noticed_by == "a load":
        right_or_refused(make(OURS, tmp_path, Bucket), key, blob)
    elif noticed_by == "the variable":
        monkeypatch.setenv("METAFLOW_PACKHOUSE_CHECK", "1")
    assert save(make(OURS, tmp_path, Bucket), [blob]) == [key]
    assert load(make(OURS, tmp_path, Bucket), [key]) == [blob]
    if strike != "longer":  # what follows the content may be ignored, and stock may not like it
        assert load(make(STOCK, tmp_path, Bucket), [key]) == [blob]
    written = file_of(tmp_path, key).stat().st_mtime_ns
    monkeypatch.delenv("METAFLOW_PACKHOUSE_CHECK", raising=False)
    save(make(OURS, tmp_path, Bucket), [blob])
    assert file_of(tmp_path, key).stat().st_mtime_ns == written, "a note outlived its healing"
