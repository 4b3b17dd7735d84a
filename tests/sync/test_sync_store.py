"""The sync facade: the same names, the same promises, from any thread, and an end that never hangs."""

from __future__ import annotations

import asyncio
import inspect
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from anyio.from_thread import BlockingPortal
from blake3 import blake3

import packhouse
import packhouse.sync
import packhouse.sync.tasks
import packhouse.tasks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def store(folder: Path) -> Iterator[packhouse.sync.BlobStore]:
    with packhouse.sync.open(folder) as opened:
        yield opened


PAIRS = [
    (packhouse.BlobStore, packhouse.sync.BlobStore),
    (packhouse.Names, packhouse.sync.Names),
    (packhouse.tasks.FlowDataStore, packhouse.sync.tasks.FlowDataStore),
    (packhouse.tasks.TaskDataStore, packhouse.sync.tasks.TaskDataStore),
    (packhouse.tasks.ContentAddressedStore, packhouse.sync.tasks.ContentAddressedStore),
    (packhouse.tasks.SpinTaskDatastore, packhouse.sync.tasks.SpinTaskDatastore),
    (packhouse.tasks.LogWriter, packhouse.sync.tasks.LogWriter),
]
MADE_BY_USERS = {"FlowDataStore", "TaskDataStore", "ContentAddressedStore", "SpinTaskDatastore"}


# Attributes of instances in the facade, what a datastore keeps for its parts, what waits for a record, and what ends
# with an event of a loop's.
ASYNC_ONLY = {"store", "serializers", "url", "cached", "keep", "ready", "copy"}


@pytest.mark.parametrize(("ours", "facade"), PAIRS, ids=lambda each: each.__name__)
def test_the_facade_has_every_name_with_the_same_signature(ours: type, facade: type) -> None:
    names, offered = ({name for name in dir(each) if not name.startswith("_")} for each in (ours, facade))
    assert names - ASYNC_ONLY == offered - ASYNC_ONLY - {"close", "inner"}
    for name in names - ASYNC_ONLY | ({"__init__"} if ours.__name__ in MADE_BY_USERS else set()):
        left, right = inspect.getattr_static(ours, name), inspect.getattr_static(facade, name)
        if not callable(left):
            assert isinstance(right, property) == isinstance(left, property)
            continue
        shape = [
            [(each.name, each.kind, each.default) for each in inspect.signature(function).parameters.values()]
            for function in (left, right)
        ]
        assert [each for each in shape[0] if not each[0].startswith("_")] == shape[1], name


@pytest.mark.parametrize("name", ["open", "copy_store"])
def test_functions_have_the_same_signature(name: str) -> None:
    shapes = [list(inspect.signature(getattr(room, name)).parameters.values()) for room in (packhouse, packhouse.sync)]
    assert shapes[0] == shapes[1]


def test_blobs_come_back(store: packhouse.sync.BlobStore, tmp_path: Path) -> None:
    large = os.urandom(20_000_000)
    (tmp_path / "large").write_bytes(large)
    pieces = (large[start : start + 1_000_000] for start in range(0, len(large), 1_000_000))
    saved = store.save_blobs([b"one", bytearray(b"two"), tmp_path / "large", pieces])
    assert [blob.key for blob in saved] == [blake3(data).hexdigest() for data in (b"one", b"two", large, large)]
    assert [blob.data for blob in store.load_blobs(saved)] == [b"one", b"two", large, large]
    assert store.load(saved[0].key) == b"one"
    assert store.load_range(saved[2], 5, 10) == large[5:10]
    assert store.contains(saved[0])
    assert store.size(saved[2]) == len(large)
    assert store.save_stream(iter([b"o", b"ne"])).existed
    assert store.verify().findings == ()
    with store.open_read(saved[2]) as file:
        file.seek(1_000_000)
        assert file.read(10) == large[1_000_000:1_000_010]
        assert file.read() == large[1_000_010:]


def test_thousands_of_keys_with_many_missing(store: packhouse.sync.BlobStore) -> None:
    saved = store.save_blobs(str(number).encode() for number in range(3_000))
    missing = [blake3(f"missing {number}".encode()).hexdigest() for number in range(5_000)]
    keys = [*missing, *(blob.key for blob in saved), *missing]
    assert [key for key, _ in store.load_blobs(keys, missing="skip")] == [blob.key for blob in saved]
    with pytest.raises(packhouse.BlobNotFound):
        list(store.load_blobs(keys))


@pytest.mark.parametrize("count", [2, 5_000])
def test_what_comes_before_a_wrong_key_is_loaded_first(store: packhouse.sync.BlobStore, count: int) -> None:
    saved = store.save_blobs(str(number).encode() for number in range(count))

    def failing() -> Iterator[packhouse.SavedBlob]:
        yield from saved
        raise RuntimeError("mine")

    cases: list[tuple[Any, type[Exception]]] = [
        ([*saved, "bad", saved[0]], packhouse.InvalidInput),
        (failing(), RuntimeError),
    ]
    for keys, error in cases:
        loaded = store.load_blobs(keys)
        assert [next(loaded).key for _ in saved] == [blob.key for blob in saved]
        with pytest.raises(error):
            next(loaded)
        assert list(loaded) == []


def test_a_zip_file_is_read_through_it(store: packhouse.sync.BlobStore, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("inside", b"content" * 1_000)
    blob = store.save_stream(tmp_path / "a.zip")
    with store.open_read(blob) as file, zipfile.ZipFile(file) as archive:
        assert archive.read("inside") == b"content" * 1_000


def test_results_come_as_they_are_committed_and_leaving_early_withdraws(store: packhouse.sync.BlobStore) -> None:
    blobs = [os.urandom(1_000) for _ in range(300)]
    with store.saving(iter(blobs), commit_every=50_000) as results:
        for saved in results:
            assert store.contains(saved)
            break
    assert not store.contains(blake3(blobs[-1]).hexdigest())
    with store.saving(blobs, commit_every=50_000) as results:
        assert [blob.key for blob in results] == [blake3(blob).hexdigest() for blob in blobs]
    with store.saving([]) as results:
        assert list(results) == []


def test_results_outside_their_block_are_refused(store: packhouse.sync.BlobStore) -> None:
    results = store.saving([b"saved"])
    with pytest.raises(packhouse.InvalidInput, match="use it within `with`"):
        next(results)
    with results:
        assert [saved.size for saved in results] == [5]
    with pytest.raises(packhouse.InvalidInput, match="use it within `with`"):
        list(results)


def test_an_iterable_that_raises_or_gives_nonsense_saves_nothing(store: packhouse.sync.BlobStore) -> None:
    def failing() -> Iterator[bytes]:
        yield b"first"
        raise RuntimeError("mine")

    with pytest.raises(RuntimeError, match="mine"):
        store.save_blobs(failing())
    with pytest.raises(TypeError, match="item 1 is of type int"):
        store.save_blobs([b"first", 5])  # type: ignore[list-item]

    async def pieces() -> Any:
        yield b"piece"

    with pytest.raises(packhouse.InvalidInput, match="async"):
        store.save_blobs([b"first", pieces()])
    with pytest.raises(packhouse.InvalidInput, match="async"):
        store.save_blobs(pieces())
    assert not store.contains(blake3(b"first").hexdigest())


def test_a_generator_may_use_the_store_it_feeds(store: packhouse.sync.BlobStore) -> None:
    saved = store.save_blobs([b"a", b"b"])
    doubled = store.save_blobs(blob.data * 2 for blob in store.load_blobs(saved))
    assert [store.load(blob) for blob in doubled] == [b"aa", b"bb"]


def test_refs_may_be_made_of_what_the_store_itself_gives(store: packhouse.sync.BlobStore) -> None:
    saved = store.save_blobs([b"a", b"b"])
    keys = tuple(blob.key for blob in saved)

    def refs() -> Any:
        return (blob.key for blob in store.load_blobs(saved))

    names = store.names
    version = names.put("put", 1, refs=refs())
    names.replace("put", 2, version, refs=refs())
    absent = names.put_if_absent("absent", 1, refs=refs())
    names.put_many([packhouse.Document("many", 1, refs())])
    names.put_if_absent_many([packhouse.Document("many absent", 1, refs())])
    names.replace_many([packhouse.Document("absent", 2, refs(), absent)])
    listed = list(names.list())
    assert len(listed) == 4
    assert [found and found.refs for found in names.get_many(listed)] == [keys] * 4


def test_many_threads_may_save_what_they_read_from_the_same_store(store: packhouse.sync.BlobStore) -> None:
    saved = store.save_blobs(str(number).encode() * 1_000 for number in range(40))
    together = threading.Barrier(32)

    def doubled(blob: packhouse.SavedBlob) -> Iterator[bytes]:
        with suppress(threading.BrokenBarrierError):  # the last eight
            together.wait(2)
        with store.open_read(blob) as file:
            yield file.read() * 2

    with ThreadPoolExecutor(40) as threads:
        sizes = list(threads.map(lambda blob: store.save_stream(doubled(blob)).size, saved))
    assert sizes == [blob.size * 2 for blob in saved]


def test_many_threads_share_a_store(store: packhouse.sync.BlobStore) -> None:
    def work(number: int) -> bytes:
        (blob,) = store.save_blobs([str(number).encode()])
        return store.load(blob)

    with ThreadPoolExecutor(16) as threads:
        assert list(threads.map(work, range(200))) == [str(number).encode() for number in range(200)]
    stats = store.stats()
    assert stats.batches == 200


def test_it_works_inside_a_running_loop(store: packhouse.sync.BlobStore) -> None:
    async def main() -> bytes:
        (blob,) = store.save_blobs([b"inside"])
        return store.load(blob)

    assert asyncio.run(main()) == b"inside"


def test_closing_ends_calls_iterators_and_files(folder: Path) -> None:
    store = packhouse.sync.open(folder)
    saved = store.save_blobs([b"a", b"b"])
    blobs = store.load_blobs(saved)
    next(blobs)
    file = store.open_read(saved[0])
    store.close()
    store.close()
    for call in (lambda: store.load(saved[0]), lambda: store.save_blobs([b"c"]), lambda: file.read(1)):
        with pytest.raises(packhouse.StoreClosed):
            call()
    with pytest.raises(packhouse.StoreClosed):
        list(store.load_blobs(saved))
    blobs.close()
    file.close()
    assert file.closed


def test_closing_while_another_thread_saves_finishes_or_withdraws(folder: Path) -> None:
    for _ in range(5):
        store = packhouse.sync.open(folder)
        outcome: list[object] = []
        begun = threading.Event()

        def endless(begun: threading.Event = begun) -> Iterator[bytes]:
            while True:
                yield os.urandom(100_000)
                begun.set()

        def save(store: packhouse.sync.BlobStore = store, outcome: list[object] = outcome) -> None:
            try:
                store.save_blobs(endless())
            except packhouse.StoreClosed as error:
                outcome.append(error)

        thread = threading.Thread(target=save)
        thread.start()
        begun.wait()
        time.sleep(0.05)
        store.close()
        thread.join(10)
        assert not thread.is_alive()
        assert len(outcome) == 1
    with packhouse.sync.open(folder) as again:
        assert again.verify().unlisted_packs == 0


def test_a_call_that_begins_while_another_thread_closes_has_an_end(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    check, end = BlockingPortal._check_running, asyncio.SelectorEventLoop.close
    checked = threading.Event()

    def held_up(portal: BlockingPortal) -> None:
        check(portal)
        if threading.current_thread() is calling:
            checked.set()
            time.sleep(0.3)

    def slowly(loop: asyncio.SelectorEventLoop) -> None:
        time.sleep(0.6)
        end(loop)

    def call() -> None:
        with suppress(packhouse.StoreClosed):
            store.names.get_many(["name"])

    monkeypatch.setattr(BlockingPortal, "_check_running", held_up)
    monkeypatch.setattr(asyncio.SelectorEventLoop, "close", slowly)
    store = packhouse.sync.open(folder)
    calling = threading.Thread(target=call, daemon=True)
    calling.start()
    assert checked.wait(5)
    store.close()
    calling.join(5)
    assert not calling.is_alive()


def test_a_callback_that_calls_the_store_is_refused_instead_of_hanging(store: packhouse.sync.BlobStore) -> None:
    with pytest.raises(packhouse.InvalidInput, match="own thread"):
        store.save_blobs([b"x" * 300_000] * 100, progress=lambda _: store.contains("0" * 64))


def test_a_store_is_copied_into_another_and_only_what_is_missing(store: packhouse.sync.BlobStore) -> None:
    (blob,) = store.save_blobs([b"copied"])
    store.names.put("name", 1, refs=[blob.key])
    with packhouse.sync.open("memory://") as there, packhouse.sync.open("memory://") as further:
        assert packhouse.sync.copy_store(store, there).blobs == 1
        told: list[packhouse.Progress] = []
        copied = packhouse.sync.copy_store(there, further, progress=told.append)
        assert (copied.blobs, copied.names, told[-1].blobs) == (1, 1, 1)
        assert further.load(further.names.get("name").refs[0]) == b"copied"
        assert packhouse.sync.copy_store(store, further).present_blobs == 1
        with pytest.raises(packhouse.InvalidInput, match="source and destination"):
            packhouse.sync.copy_store(there, there)
    with pytest.raises(packhouse.StoreClosed):
        packhouse.sync.copy_store(there, store)
    with pytest.raises(packhouse.StoreClosed):
        packhouse.sync.copy_store(store, there)


def test_a_handle_pickles_as_its_url(store: packhouse.sync.BlobStore) -> None:
    (blob,) = store.save_blobs([b"pickled"])
    with pickle.loads(pickle.dumps(store)) as copy:
        assert copy.load(blob) == b"pickled"


def test_a_forked_child_is_refused_and_harms_nothing(store: packhouse.sync.BlobStore) -> None:
    (blob,) = store.save_blobs([b"before"])
    child = os.fork()
    if child == 0:
        try:
            store.load(blob)
        except packhouse.StoreClosed as error:
            store.close()
            os._exit(7 if error.kind == "forked" else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert store.load(blob) == b"before"
    assert store.save_blobs([b"after"])


SCRIPT = """
import os, sys, threading, packhouse.sync
store = packhouse.sync.open(sys.argv[1])
def endless():
    print("begun", flush=True)
    while True:
        yield os.urandom(100_000)
try:
    store.save_blobs(endless())
except KeyboardInterrupt:
    print("interrupted", flush=True)
(blob,) = store.save_blobs([b"afterwards"])
print(store.load(blob).decode(), threading.active_count() < 50, flush=True)
"""


def test_ctrl_c_stops_a_save_and_a_forgotten_store_does_not_keep_the_process(folder: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert out == "interrupted\nafterwards True\n", err
    assert process.returncode == 0, err
    assert not list((folder / "writers").iterdir())
