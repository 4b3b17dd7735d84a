"""A verb on a folder's files that is cancelled in any way has ended when its caller hears of it.

What goes on in a thread then would write into a file that another has opened since, or into a buffer that has other
uses by now, and would name a file when its lock is gone.
"""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anyio
import pytest

from packhouse.errors import NameNotFound
from packhouse.objects import LocalObjects, MemoryObjects, ObjectStore
from packhouse.objects.contract import Stream
from packhouse.objects.folder import Folder
from tests.cancelling import busy_threads, descriptors

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

STEP = 0.004
OLD, NEW = b"old" * 1000, b"new!" * 1000
CONTENTS = {
    "there": (OLD, NEW),
    "fresh": (None, NEW),
    "other": (OLD, None),
    "third": (OLD, None),
    "copied": (None, OLD),
}


class Pace:
    """Whether every call in a thread takes its time before and after what it does."""

    slow = False

    def wait(self) -> None:
        if self.slow and threading.current_thread() is not threading.main_thread():
            time.sleep(STEP)


@pytest.fixture
def pace(monkeypatch: pytest.MonkeyPatch) -> Pace:
    pace, fast = Pace(), Folder.told

    @contextmanager
    def told(self: Folder, action: str, name: str) -> Iterator[None]:
        pace.wait()
        with fast(self, action, name):
            yield
        pace.wait()

    monkeypatch.setattr(Folder, "told", told)
    return pace


async def pieces() -> AsyncIterator[bytes]:
    for start in range(0, len(NEW), 1000):
        yield NEW[start : start + 1000]


async def begin_anew(store: ObjectStore) -> None:
    """Let the contents be what they were before any verb."""
    await store.delete([name for name, (old, _) in CONTENTS.items() if old is None])
    for name, (old, _) in CONTENTS.items():
        if old is not None:
            await store.put(name, old)


async def content(store: ObjectStore, name: str) -> bytes | None:
    try:
        return bytes((await store.get(name)).data)
    except NameNotFound:
        return None


async def listed(store: ObjectStore) -> int:
    return len([info async for info in store.list()])


VERBS: dict[str, Callable[[ObjectStore, memoryview], Awaitable[Any]]] = {
    "get": lambda store, _: store.get("there"),
    "get into": lambda store, into: store.get("there", length=len(OLD), into=into),
    "put": lambda store, _: store.put("there", NEW),
    "put a stream": lambda store, _: store.put("there", Stream(pieces())),
    "put_if": lambda store, _: store.put_if("fresh", NEW, version=None),
    "delete": lambda store, _: store.delete(["other", "third"]),
    "list": lambda store, _: listed(store),
    "head": lambda store, _: store.head("there"),
    "copy": lambda store, _: store.copy("other", "copied"),
    "open": lambda store, _: store.__aenter__(),
}


@pytest.mark.parametrize("verb", VERBS)
async def test_a_cancelled_verb_leaves_nothing_running_nothing_open_and_nothing_half_done(
    verb: str, way: Any, tmp_path: Path, pace: Pace
) -> None:
    async with LocalObjects(tmp_path) as store:
        before = descriptors()
        into = bytearray(len(OLD))
        for step in range(6):
            await begin_anew(store)
            pace.slow = True
            await way(STEP * step, lambda: VERBS[verb](store, memoryview(into)))
            left = bytes(into)
            assert busy_threads() == 0
            pace.slow = False
            assert list((tmp_path / "+local/staged").iterdir()) == []
            for name, contents in CONTENTS.items():
                assert await content(store, name) in contents
            assert bytes(into) == left, "a buffer was written to by a thread that nobody knows of any more"
        assert descriptors() <= before


@pytest.mark.parametrize("verb", VERBS)
async def test_a_cancelled_verb_on_objects_in_memory_has_its_whole_effect_or_none(verb: str, way: Any) -> None:
    store = MemoryObjects()
    for step in range(3):
        await begin_anew(store)
        await way(0.0002 * step, lambda: VERBS[verb](store, memoryview(bytearray(len(OLD)))))
        for name, contents in CONTENTS.items():
            assert await content(store, name) in contents


async def test_a_cancelled_condition_holds_its_lock_until_it_is_decided(way: Any, tmp_path: Path, pace: Pace) -> None:
    async with LocalObjects(tmp_path) as store:
        for number in range(6):
            seen = (await store.put("counter", b"0")).version
            pace.slow = True
            await way(STEP * number, lambda seen=seen: store.put_if("counter", b"1", version=seen))
            pace.slow = False
            found = await store.get("counter")
            with anyio.fail_after(5):
                await store.put_if("counter", b"2", version=found.info.version)
            assert await content(store, "counter") == b"2"
