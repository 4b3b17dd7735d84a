"""What packhouse refuses, a user of Metaflow is told in a sentence, as an error of Metaflow's and of packhouse's."""

from __future__ import annotations

import pickle
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from metaflow.datastore.content_addressed_store import ContentAddressedStore
from metaflow.datastore.exceptions import DataException
from metaflow.exception import MetaflowException

from packhouse.compat.metaflow.packed.blobs import PackedBlobs
from packhouse.compat.metaflow.packed.storage import PackhouseStorage
from packhouse.compat.metaflow.telling import for_metaflow
from packhouse.errors import CommitUncertain, PackhouseError, StorageError, StoreNotFound
from tests.metaflow.stores import load, ours, save
from tests.metaflow.worlds import World, packed

STOCK: Any = ContentAddressedStore


@pytest.fixture
def blocked(tmp_path: Path) -> Path:
    """A datastore whose folder of blobs cannot be made."""
    (tmp_path / "Flow").mkdir()
    (tmp_path / "Flow/data").write_text("no folder")
    return tmp_path


def test_a_save_that_fails_raises_what_callers_of_metaflow_and_of_packhouse_catch(blocked: Path) -> None:
    with pytest.raises(MetaflowException, match="data") as caught:
        save(ours(blocked), [b"content"])
    assert isinstance(caught.value, StorageError)
    assert isinstance(caught.value, OSError)
    assert caught.value.kind == caught.value.__cause__.kind  # type: ignore[union-attr]


def test_a_load_that_fails_raises_what_callers_of_metaflow_and_of_packhouse_catch(blocked: Path) -> None:
    with pytest.raises(MetaflowException) as caught:
        load(ours(blocked), ["0" * 40])
    assert isinstance(caught.value, StorageError)
    assert not issubclass(caught.type, DataException), "Metaflow's get() would answer with the default"


def test_a_packed_datastore_that_is_none_is_told_as_metaflow_tells_errors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind: Any = type("ContentAddressedStore", (PackedBlobs, STOCK), {})
    monkeypatch.setattr(STOCK, "keeps_packs", True, raising=False)
    (tmp_path / "other").write_text("no store's")
    make: Any = PackhouseStorage
    storage = make(str(tmp_path))
    with pytest.raises(MetaflowException) as caught:
        kind("Flow/data", storage).save_blobs(iter([b"content"]))
    assert isinstance(caught.value, StoreNotFound)
    with pytest.raises(MetaflowException) as caught:
        storage.save_bytes([("Flow/1/start/1/0.attempt.json", BytesIO(b"{}"))])
    assert isinstance(caught.value, StoreNotFound)


def test_an_error_that_is_both_keeps_what_it_tells_and_can_be_sent_to_another_process() -> None:
    error = CommitUncertain("saving: the answer was lost", errno=5)
    error.batch_id = "ab" * 16
    told = for_metaflow(error)
    for each in (told, pickle.loads(pickle.dumps(told))):
        assert isinstance(each, CommitUncertain)
        assert isinstance(each, MetaflowException)
        assert (str(each), each.batch_id, each.kind, each.errno) == (str(error), "ab" * 16, error.kind, 5)
        assert each.message == str(error)
        assert for_metaflow(each) is each
    plain = for_metaflow(PackhouseError("a sentence"))
    assert str(plain) == "a sentence"


def test_a_flow_that_cannot_save_ends_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    world = World(tmp_path)
    (world.root / "Linear").mkdir(parents=True)
    (world.root / "Linear/data").write_text("no folder")
    said = world.flow("linear", fails=True)
    assert "Data store error" in said
    assert "Traceback" not in said


def test_a_flow_whose_packed_datastore_is_none_ends_with_a_sentence_and_no_traceback(tmp_path: Path) -> None:
    (tmp_path / ".packhouse").mkdir()
    (tmp_path / ".packhouse/other").write_text("no store's")
    said = packed(tmp_path).flow("linear", fails=True)
    assert "Data store error" in said
    assert "Traceback" not in said
