"""Names stand for the document that was put last, and nobody's change is lost."""

from __future__ import annotations

import fcntl
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date
from enum import Enum
from typing import TYPE_CHECKING

import anyio
import numpy as np
import pytest

import packhouse
import packhouse.sync
from packhouse import Document, _engine

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from pathlib import Path


@dataclass
class Run:
    loss: float
    day: date = date(2026, 11, 22)


class Odd(Enum):
    NUMBER = float("nan")
    NOTHING = None


@contextmanager
def locks_held(folder: Path) -> Iterator[None]:
    """Hold the locks of all names, as a process would that hangs."""
    with ExitStack() as stack:
        for lock in "0123456789abcdef":
            fcntl.flock(stack.enter_context((folder / "locks" / lock).open("ab")), fcntl.LOCK_EX)
        yield


async def test_a_document_comes_back_with_its_version_and_refs(folder: Path) -> None:
    async with packhouse.open(folder) as store:
        (blob,) = await store.save_blobs([b"kept alive"])
        version = await store.names.put("models/größe ✓", {"key": blob.key, "n": [1, 2.5, None]}, refs=(blob.key,))
    async with packhouse.open(folder, mode="r") as store:
        found = await store.names.get("models/größe ✓")
        assert found == packhouse.NamedDocument({"key": blob.key, "n": [1, 2.5, None]}, version, (blob.key,))
        with pytest.raises(packhouse.ReadOnlyStore):
            await store.names.put("x", 1)


async def test_absent_replaced_and_deleted(store: packhouse.BlobStore) -> None:
    names = store.names
    with pytest.raises(KeyError, match="nothing"):
        await names.get("nothing")
    first = await names.put_if_absent("a", 1)
    with pytest.raises(packhouse.NameConflict):
        await names.put_if_absent("a", 2)
    second = await names.replace("a", 2, first)
    assert second != first
    with pytest.raises(packhouse.NameConflict):
        await names.replace("a", 3, first)
    with pytest.raises(packhouse.NameConflict):
        await names.delete("a", version=first)
    assert (await names.get("a")).doc == 2
    await names.delete("a", version=second)
    with pytest.raises(packhouse.NameNotFound):
        await names.get("a")
    with pytest.raises(packhouse.NameNotFound):
        await names.delete("a")


async def test_many_at_once(store: packhouse.BlobStore) -> None:
    names = store.names
    documents = [Document(f"run/{number:04}", {"n": number}) for number in range(1_000)]
    versions = await names.put_many(documents)
    assert len(set(versions)) == 1_000
    read = await names.get_many(["run/0007", "missing", "run/0999"])
    assert [each and each.doc for each in read] == [{"n": 7}, None, {"n": 999}]
    assert [name async for name in names.list("run/")] == [each.name for each in documents]
    assert [name async for name in names.list("run/", after="run/0997")] == ["run/0998", "run/0999"]
    page = names.list("run/09")
    assert await page.page(2) == ["run/0900", "run/0901"]
    assert len(await page.page(1_000)) == 98
    assert await page.page(5) == []
    absent = await names.put_if_absent_many([Document("run/0001", 1), Document("new", 1)])
    assert [version is None for version in absent] == [True, False]
    replaced = await names.replace_many(
        [Document("run/0001", "x", version=versions[1]), Document("run/0002", "x", version=versions[1])]
    )
    assert [version is None for version in replaced] == [False, True]
    assert await names.delete_many(["run/0001", "missing"]) == [True, False]
    assert await names.put_many([]) == []


async def test_what_cannot_be_kept_is_refused(store: packhouse.BlobStore) -> None:
    names = store.names
    for name in ("", "x" * 701, "ü" * 351, 5, None):
        with pytest.raises(packhouse.InvalidInput):
            await names.put(name, 1)  # type: ignore[arg-type]
    uses: list[Callable[[str], Awaitable[object]]] = [
        lambda name: names.put(name, 1),
        lambda name: names.list(name).page(1),
        names.get,
        names.delete,
    ]
    for odd in ("\udcff", "a/\ud800"):
        for use in uses:
            with pytest.raises(packhouse.InvalidInput, match="UTF-8") as refused:
                await use(odd)
            assert refused.value.kind == "name"
    with pytest.raises(packhouse.InvalidInput, match="JSON"):
        await names.put("a", object())
    for number in (float("nan"), float("inf"), -float("inf"), np.float64("nan")):
        for document in (number, {"loss": [None, number]}, {"run": Run(number)}, [Odd.NUMBER]):
            with pytest.raises(packhouse.InvalidInput, match="JSON") as refused:
                await names.put("a", document)
            assert refused.value.kind == "document"
    with pytest.raises(packhouse.InvalidInput):
        await names.put("a", 1, refs="0" * 64)
    with pytest.raises(packhouse.BlobNotFound, match=r"0{8}") as caught:
        await names.put("a", 1, refs=["0" * 64])
    assert caught.value.kind == "ref-not-found"
    with pytest.raises(packhouse.InvalidInput):
        await names.replace("a", 1, "no version")
    assert [name async for name in names.list()] == []


async def test_null_is_kept_beside_whatever_else_becomes_json(store: packhouse.BlobStore) -> None:
    await store.names.put("a", [None, Run(0.5), Odd.NOTHING, "null", 1e308])
    kept = [None, {"loss": 0.5, "day": "2026-11-22"}, None, "null", 1e308]
    assert (await store.names.get("a")).doc == kept


async def test_hostile_names_stay_in_the_store(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("untouched")
    hostile = ["../outside", "/etc/passwd", "a/../../b", "..", ".", "a\0b", "CON", "a" * 700, "~", "%2e%2e", "A", "a"]
    async with packhouse.open(folder) as store:
        for number, name in enumerate(hostile):
            await store.names.put(name, number)
        for number, name in enumerate(hostile):
            assert (await store.names.get(name)).doc == number
        assert [name async for name in store.names.list()] == sorted(hostile, key=str.encode)
    assert (tmp_path / "outside").read_text() == "untouched"
    assert sorted(path.name for path in tmp_path.glob("*")) == ["outside", "store"]


async def test_no_update_is_lost_between_two_handles(folder: Path) -> None:
    async with packhouse.open(folder) as one, packhouse.open(folder) as other:
        await one.names.put("counter", 0)

        async def count(store: packhouse.BlobStore) -> None:
            for _ in range(20):
                while True:
                    found = await store.names.get("counter")
                    try:
                        await store.names.replace("counter", found.doc + 1, found.version)
                    except packhouse.NameConflict:
                        continue
                    break

        with anyio.fail_after(60):
            async with anyio.create_task_group() as tasks:
                for store in (one, other):
                    tasks.start_soon(count, store)
                    tasks.start_soon(count, store)
        assert (await one.names.get("counter")).doc == 80


async def test_a_cancelled_put_happened_or_did_not(store: packhouse.BlobStore) -> None:
    names = store.names
    for number in range(30):
        version = None
        with anyio.move_on_after(0.0002 * number):
            version = await names.put(f"n{number}", number)
        found = (await names.get_many([f"n{number}"]))[0]
        assert (found is not None) == (version is not None)


async def test_a_batch_that_is_cancelled_half_way_ends_as_cancelled(store: packhouse.BlobStore) -> None:
    documents = [Document("n", number) for number in range(20_000)]  # of one name: one after the other
    with anyio.move_on_after(0.3) as scope:
        await store.names.put_many(documents)
    assert scope.cancelled_caught
    assert (await store.names.get("n")).doc < 19_999


async def test_who_cancels_a_batch_hears_of_a_change_that_nobody_can_tell_of(
    store: packhouse.BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Undecided:
        def apply(self, _: object, cancel: _engine.Cancel) -> list[Exception]:
            while not cancel.is_cancelled():
                time.sleep(0.001)
            cancelled = packhouse.PackhouseError("the operation was cancelled", kind="cancelled")
            return [cancelled, packhouse.CommitUncertain("visible, but may not last", kind="name-uncertain")]

    monkeypatch.setattr(type(store._opened()), "names", lambda _: Undecided())
    with anyio.move_on_after(0.1), pytest.raises(packhouse.CommitUncertain):
        await store.names.put_many([Document("a", 1), Document("b", 1)])


async def test_changes_that_wait_for_a_lock_hold_up_nothing_else(folder: Path) -> None:
    async with packhouse.open(folder) as store:
        (saved,) = await store.save_blobs([b"there"])
        await store.names.put("there", 1)
        async with anyio.create_task_group() as tasks:
            with locks_held(folder), anyio.fail_after(10):
                for number in range(70):
                    tasks.start_soon(store.names.put, f"waits {number}", number)
                await anyio.sleep(0.2)
                assert await store.load(saved) == b"there"
                assert (await store.names.get("there")).doc == 1
                assert len(await store.save_blobs([bytes(500_000)])) == 1
        assert len([name async for name in store.names.list("waits")]) == 70


async def test_a_change_behind_those_that_wait_for_a_lock_can_be_cancelled(folder: Path) -> None:
    async with packhouse.open(folder) as store, anyio.create_task_group() as tasks:
        await store.names.put("there", 1)
        with locks_held(folder), anyio.fail_after(10):
            for number in range(70):
                tasks.start_soon(store.names.put, f"waits {number}", number)
            await anyio.sleep(0.2)
            began = time.monotonic()
            with anyio.move_on_after(0.1) as scope:
                await store.names.put("last", 1)
            assert scope.cancelled_caught
            assert time.monotonic() - began < 2


@pytest.mark.parametrize("many", [False, True], ids=["one", "many"])
async def test_a_put_that_waits_while_the_store_is_closed_says_so(folder: Path, many: bool) -> None:
    ended: list[packhouse.StoreClosed] = []

    async def put(store: packhouse.BlobStore) -> None:
        documents = [Document(f"n{number}", number) for number in range(5)]
        with pytest.raises(packhouse.StoreClosed) as caught:
            await (store.names.put_many(documents) if many else store.names.put("n", 1))
        ended.append(caught.value)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks, packhouse.open(folder) as store:
            await store.names.put("there", 1)
            with locks_held(folder):
                tasks.start_soon(put, store)
                await anyio.sleep(0.2)
                await store.__aexit__(None, None, None)
    assert len(ended) == 1


async def test_a_document_that_is_not_json_is_named_and_the_others_are_read(store: packhouse.BlobStore) -> None:
    await store.names.put("sound", 1)
    engine = store._opened().names()
    engine.apply([("odd", b"\xff{", [], "always")], _engine.Cancel())
    for call in (store.names.get("odd"), store.names.get_many(["sound", "odd"])):
        with pytest.raises(packhouse.CorruptBlob, match="the document of 'odd' is not JSON"):
            await call
    assert [name async for name in store.names.list()] == ["odd", "sound"]
    assert (await store.names.get("sound")).doc == 1


def test_one_name_is_not_taken_for_many(folder: Path) -> None:
    with packhouse.sync.open(folder) as store:
        store.names.put_many([Document(name, 1) for name in "runs"])
        for call in (store.names.delete_many, store.names.get_many):
            with pytest.raises(packhouse.InvalidInput, match="not one str: 'runs'"):
                call("runs")
        assert list(store.names.list()) == ["n", "r", "s", "u"]


async def test_one_name_is_not_taken_for_many_with_await_either(store: packhouse.BlobStore) -> None:
    for call in (store.names.delete_many, store.names.get_many):
        with pytest.raises(packhouse.InvalidInput, match="not one str"):
            await call("runs")
