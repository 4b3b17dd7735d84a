"""The contract of `ObjectStore`, as checks that any store can be run through.

```python
@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
async def test_my_store_keeps_the_contract(check):
    async with MyStore() as store:
        await check(conformance.Subject(store))
```

Each check works under a random prefix of its own and removes what it wrote, so that a shared bucket will do. Run them
on asyncio and on trio. A check that fails raises `Violation` and says what was promised.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field

import anyio

from packhouse.errors import InvalidInput, NameConflict, NameNotFound, UnsupportedStore
from packhouse.objects.contract import Bytes, ObjectInfo, ObjectStore, Stream

__all__ = ["CHECKS", "Check", "Subject", "Violation", "name_of"]


class Violation(AssertionError):
    """The store broke its contract."""


@dataclass(frozen=True)
class Subject:
    """A store under test.

    Attributes:
        store: it, opened.
        conditional: whether it has conditional writes; one that has none must say so.
        large: bytes of the largest body: more than one part, where the store uploads in parts.
        many: objects that are listed: more than one page, at best.
        racers: tasks that race for one condition.
        prefix: what the names of the check begin with.
    """

    store: ObjectStore
    conditional: bool = True
    large: int = 12 << 20
    many: int = 1110
    racers: int = 12
    prefix: str = field(default_factory=lambda: f"conformance/{secrets.token_hex(8)}/")

    async def clear(self) -> None:
        """Remove what the checks left."""
        await self.store.delete([info.name async for info in self.store.list(self.prefix)])


Check = Callable[[Subject], Awaitable[None]]


def expect(holds: bool, promise: str) -> None:
    """Raise unless the promise holds."""
    if not holds:
        raise Violation(promise)


async def expect_raises(kind: type[Exception], doing: Awaitable[object], promise: str) -> None:
    """Raise unless awaiting ends in that error."""
    try:
        await doing
    except kind:
        return
    raise Violation(promise)


async def names_under(store: ObjectStore, prefix: str) -> list[str]:
    """List, sorted."""
    return sorted([info.name async for info in store.list(prefix)])


async def what_was_put_comes_back(subject: Subject) -> None:
    """Bytes of every size, of every kind of buffer."""
    store, prefix = subject.store, subject.prefix
    bodies: tuple[Bytes, ...] = (b"", b"x", bytes(range(256)) * 300, bytearray(b"mutable"), memoryview(b"a view")[2:])
    for number, body in enumerate(bodies):
        name = f"{prefix}body/{number}"
        put = await store.put(name, body)
        expect(put.size == len(body) and put.name == name, "put tells name and size")
        fetched = await store.get(name)
        expect(bytes(fetched.data) == bytes(body), f"{len(body)} bytes come back as they were put")
        expect(fetched.info.version == put.version, "get tells the version that put told")
        expect(abs(put.modified - time.time()) < 86400, "the store's clock is within a day of ours")
    await subject.clear()


async def ranges_are_exact(subject: Subject) -> None:
    """Every range within is what a slice is; none beyond is answered."""
    store, name = subject.store, f"{subject.prefix}range"
    body = secrets.token_bytes(70_000)
    await store.put(name, body)
    for start, length in ((0, 1), (0, 70_000), (1, 65_537), (69_999, 1), (35_000, None), (0, 0), (70_000, 0)):
        end = len(body) if length is None else start + length
        fetched = await store.get(name, start=start, length=length)
        expect(bytes(fetched.data) == body[start:end], f"{length} bytes from {start} are those of the object")
        expect(fetched.info.size == len(body), "a range tells the whole object's size")
    target = bytearray(1000)
    fetched = await store.get(name, start=500, length=1000, into=memoryview(target))
    expect(bytes(target) == body[500:1500], "a range goes into the buffer that was handed in")
    for start, length in ((0, 70_001), (69_999, 2), (70_001, None), (70_000, 1), (-1, 5), (5, -1)):
        promise = f"{length} bytes from {start} of 70,000 are refused, not cut"
        await expect_raises(InvalidInput, store.get(name, start=start, length=length), promise)
    await store.put(name, b"")
    expect(bytes((await store.get(name)).data) == b"", "an empty object can be read")
    await subject.clear()


async def what_is_not_there_is_said_so(subject: Subject) -> None:
    """A missing object is an error of its own everywhere but in delete."""
    store, missing = subject.store, f"{subject.prefix}missing"
    await expect_raises(NameNotFound, store.get(missing), "get of a missing object")
    await expect_raises(NameNotFound, store.get(missing, start=5, length=5), "a range of a missing object")
    await expect_raises(NameNotFound, store.head(missing), "head of a missing object")
    await expect_raises(NameNotFound, store.copy(missing, f"{subject.prefix}copy"), "copy of a missing object")
    await store.delete([missing])
    expect(await names_under(store, subject.prefix) == [], "nothing is listed where nothing is")


async def names_that_break_clients_are_refused(subject: Subject) -> None:
    """Before anything is sent."""
    for bad in ("", "/", "a//b", "/a", "a/", "a/./b", "../a", "a/..", "a b", "é", "a\n", "a?b", "a%2fb", "x" * 901):
        await expect_raises(InvalidInput, subject.store.put(bad, b""), f"{bad[:20]!a} is refused")
        await expect_raises(InvalidInput, subject.store.get(bad), f"{bad[:20]!a} is refused")


async def every_allowed_name_is_kept(subject: Subject) -> None:
    """No two of them are mixed up."""
    store, prefix = subject.store, subject.prefix
    room = 900 - len(prefix)
    names = [
        "a",
        "A",
        "_",
        "~",
        "=",
        "!",
        "-",
        "..a",
        ".a",
        "a.",
        "a..b",
        "a+",
        "x+y/b",
        "0/1/2/3",
        "x=~0/y",
        "long/" + "n" * 200,
    ]
    names.append("/".join(["p" * 90] * 20)[: room - 1] + "q")
    names = [prefix + name for name in names]
    for name in names:
        await store.put(name, name.encode())
    for name in names:
        expect(bytes((await store.get(name)).data) == name.encode(), f"{name} has its own bytes")
    expect(await names_under(store, prefix) == sorted(names), "every name is listed as it was put")
    await store.delete(names)
    expect(await names_under(store, prefix) == [], "all of them can be deleted")


async def a_listing_misses_nothing(subject: Subject) -> None:
    """Prefixes end anywhere; pages do not show."""
    store, prefix = subject.store, subject.prefix
    names = sorted(
        f"{prefix}{folder}/{number:04}" for folder in ("one", "one-more", "two") for number in range(subject.many // 3)
    )
    async with anyio.create_task_group() as tasks:
        for part in range(8):
            tasks.start_soon(_put_all, store, names[part::8])
    listed = [info async for info in store.list(prefix)]
    expect(sorted(info.name for info in listed) == names, f"{len(names)} objects are listed, each once")
    expect(all(info.size == 3 and info.version for info in listed), "a listing tells sizes and versions")
    expect(len(await names_under(store, f"{prefix}one/")) == len(names) // 3, "a prefix may be a folder")
    expect(len(await names_under(store, f"{prefix}one")) == len(names) // 3 * 2, "a prefix may end within a part")
    expect(len(await names_under(store, f"{prefix}two/000")) == 10, "a prefix may end within a name")
    await store.delete(names)
    expect(await names_under(store, prefix) == [], "all of them can be deleted at once")


async def _put_all(store: ObjectStore, names: list[str]) -> None:
    for name in names:
        await store.put(name, b"abc")


async def a_put_replaces_the_whole(subject: Subject) -> None:
    """And head, get and list tell the same version, which is another one."""
    store, name = subject.store, f"{subject.prefix}replaced"
    before = await store.put(name, b"something long")
    after = await store.put(name, b"short")
    expect(before.version != after.version, "other bytes are another version")
    expect(bytes((await store.get(name)).data) == b"short", "nothing of the old bytes is left")
    head = await store.head(name)
    (listed,) = [info async for info in store.list(name)]
    expect(head.version == after.version == listed.version, "head and list tell the version that put told")
    expect(head.size == 5 == listed.size, "head and list tell the size")
    await subject.clear()


async def streams_are_held_to_their_size(subject: Subject) -> None:
    """Of known and of unknown size, in pieces of any size; a lie leaves nothing behind."""
    store, name = subject.store, f"{subject.prefix}stream"
    large = secrets.token_bytes(1 << 20) * (subject.large >> 20) + b"tail"
    for size in (len(large), None):
        put = await store.put(name, Stream(_pieces(large), size))
        expect(put.size == len(large), "a stream's size is told")
        fetched = await store.get(name)
        expect(fetched.data == large, "a large stream comes back")
        expect(fetched.info.version == put.version, "and its version is what put told")
        await store.delete([name])
    await store.put(name, Stream(_pieces(b""), 0))
    expect((await store.head(name)).size == 0, "an empty stream is an empty object")
    await store.delete([name])
    for size in (len(large) - 1, len(large) + 1, 3):
        promise = f"a stream of {len(large)} bytes that says {size} is refused"
        await expect_raises(InvalidInput, store.put(name, Stream(_pieces(large), size)), promise)
    expect(await names_under(store, name) == [], "a stream that was refused leaves nothing")
    await expect_raises(ArithmeticError, store.put(name, Stream(_broken(large))), "a stream's own error comes through")
    expect(await names_under(store, name) == [], "a stream that failed leaves nothing")


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    step = 1
    start = 0
    while start < len(body):
        yield body[start : start + step]
        start += step
        step = min(step * 3, 1 << 20)


async def _broken(body: bytes) -> AsyncIterator[bytes]:
    async for piece in _pieces(body):
        yield piece
    raise ArithmeticError


async def conditions_hold(subject: Subject) -> None:
    """Put if absent, put if unchanged; what is refused writes nothing."""
    store, name = subject.store, f"{subject.prefix}conditional"
    if not subject.conditional:
        promise = "a store without conditional writes says so"
        await expect_raises(UnsupportedStore, store.put_if(name, b"1", version=None), promise)
        return
    first = await store.put_if(name, b"first", version=None)
    await expect_raises(NameConflict, store.put_if(name, b"second", version=None), "what is there is not replaced")
    expect((await store.head(name)).version == first.version, "put_if tells the version")
    second = await store.put_if(name, b"second", version=first.version)
    expect(second.version != first.version, "a new version is another one")
    await expect_raises(NameConflict, store.put_if(name, b"late", version=first.version), "an old version is refused")
    expect(bytes((await store.get(name)).data) == b"second", "what was refused wrote nothing")
    await store.delete([name])
    await expect_raises(NameConflict, store.put_if(name, b"late", version=second.version), "what is gone is no version")
    expect(await names_under(store, name) == [], "what was refused wrote nothing")


async def one_of_many_wins(subject: Subject) -> None:
    """Many at once: conditions are races that exactly one wins."""
    store, name = subject.store, f"{subject.prefix}race"
    if not subject.conditional:
        return
    version: str | None = None
    for turn in range(3):
        won: list[tuple[bytes, ObjectInfo]] = []
        lost: list[bytes] = []
        async with anyio.create_task_group() as tasks:
            for number in range(subject.racers):
                tasks.start_soon(_race, store, name, f"{turn} {number}".encode(), version, won, lost)
        expect(len(won) == 1 == subject.racers - len(lost), f"exactly one wins, not {len(won)}")
        fetched = await store.get(name)
        expect(bytes(fetched.data) == won[0][0], "the winner's bytes are there")
        version = won[0][1].version
        expect(fetched.info.version == version, "as the winner's version")
    await subject.clear()


async def _race(  # noqa: PLR0917 - a task's arguments
    store: ObjectStore,
    name: str,
    body: bytes,
    version: str | None,
    won: list[tuple[bytes, ObjectInfo]],
    lost: list[bytes],
) -> None:
    try:
        won.append((body, await store.put_if(name, body, version=version)))
    except NameConflict:
        lost.append(body)


async def a_copy_is_whole(subject: Subject) -> None:
    """Or the store says that it has none."""
    store, source, target = subject.store, f"{subject.prefix}source", f"{subject.prefix}target"
    await store.put(source, b"copied")
    if await store.copy(source, target):
        expect(bytes((await store.get(target)).data) == b"copied", "a copy has the same bytes")
        expect(bytes((await store.get(source)).data) == b"copied", "its source stays")
    else:
        expect(await names_under(store, target) == [], "a store that cannot copy copies nothing")
    await subject.clear()


async def cancelling_leaves_the_store_usable(subject: Subject) -> None:
    """Whatever is cancelled in the middle, the next request works, and what is there is whole."""
    store, name = subject.store, f"{subject.prefix}cancelled"
    body = secrets.token_bytes(1 << 20) * 6
    for number in range(24):
        with anyio.move_on_after(0.0005 * number):
            await store.put(name, body)
        with anyio.move_on_after(0.0005 * number), suppress(NameNotFound):
            await store.get(name)
    await store.put(name, body)
    async with anyio.create_task_group() as tasks:
        for _ in range(20):
            tasks.start_soon(store.head, name)
    expect((await store.get(name)).data == body, "the object is whole")
    await subject.clear()


CHECKS: tuple[Check, ...] = (
    what_was_put_comes_back,
    ranges_are_exact,
    what_is_not_there_is_said_so,
    names_that_break_clients_are_refused,
    every_allowed_name_is_kept,
    a_listing_misses_nothing,
    a_put_replaces_the_whole,
    streams_are_held_to_their_size,
    conditions_hold,
    one_of_many_wins,
    a_copy_is_whole,
    cancelling_leaves_the_store_usable,
)
"""Every check, in the order in which they are best read."""


def name_of(check: Check) -> str:
    """Return a check's name, for the ids of a test's parameters."""
    return getattr(check, "__name__", repr(check))
