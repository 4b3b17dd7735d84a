"""Uploads in parts, whatever the service: what leaves, in which parts, and what is kept of it meanwhile."""

from __future__ import annotations

import gc
import secrets
import time
import weakref
from array import array
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import pytest
from anyio.from_thread import start_blocking_portal

import packhouse
from packhouse.blobs.carrier import Carrier
from packhouse.errors import InvalidInput
from packhouse.objects.azure import requests as azure_requests
from packhouse.objects.bucket.upload import Part, Session, Upload
from packhouse.objects.contract import Body, Bytes, ObjectInfo, Stream
from packhouse.objects.gcs.hashing import Hash
from packhouse.objects.http import HttpOptions
from packhouse.objects.memory import MemoryObjects
from packhouse.objects.s3 import S3Objects, guarding
from packhouse.objects.s3.multipart import Multipart
from tests.hostile.driving import CARRIERS, DIALECTS, options_for, store_for
from tests.hostile.server import Talk, hostile
from tests.hostile.test_traps import store_by
from tests.objects.test_http import well

PART = 1 << 16


class Piece(bytearray):
    """Bytes that can be watched."""


class Sink(Session):
    """A service that keeps nothing."""

    at_once = 2

    def __init__(self, *, tells_last: bool = False) -> None:
        self.tells_last = tells_last
        self.sent: list[tuple[int, int, bool]] = []
        self.aborted = False

    async def small(self, pieces: list[Bytes]) -> ObjectInfo:
        self.sent.append((0, sum(memoryview(piece).nbytes for piece in pieces), True))
        return ObjectInfo("small", self.sent[0][1], "v", 0.0)

    async def begin(self) -> None:
        await anyio.lowlevel.checkpoint()

    async def send(self, part: Part) -> None:
        await anyio.lowlevel.checkpoint()
        self.sent.append((part.start, part.size, part.last))

    async def complete(self, size: int) -> ObjectInfo:
        return ObjectInfo("large", size, "v", 0.0)

    async def abort(self) -> None:
        self.aborted = True


async def in_pieces(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield bytes(size)


@pytest.mark.parametrize("tells_last", [False, True])
@pytest.mark.parametrize("size", [0, 1, PART - 1, PART, PART + 1, 3 * PART - 1, 3 * PART, 3 * PART + 1])
@pytest.mark.parametrize("known", ["bytes", "size", "end"])
async def test_every_byte_leaves_once_and_the_last_part_is_known_where_it_must_be(
    known: str, size: int, tells_last: bool
) -> None:
    session = Sink(tells_last=tells_last)
    pieces = in_pieces(*[50_000] * (size // 50_000), size % 50_000)
    body: Body = bytes(size) if known == "bytes" else Stream(pieces, size if known == "size" else None)
    assert (await Upload(session, "name", PART).run(body)).size == size
    session.sent.sort()
    assert sum(sent for _, sent, _ in session.sent) == size
    assert [start for start, _, _ in session.sent[1:]] == [
        start + sent for start, sent, _ in session.sent[: len(session.sent) - 1]
    ]
    if tells_last or size <= PART:
        assert [last for _, _, last in session.sent] == [False] * (len(session.sent) - 1) + [True]
    if not (tells_last and known == "end"):
        assert all(sent for _, sent, _ in session.sent) or size == 0


@pytest.mark.parametrize("said", [-1, 1])
async def test_a_stream_of_another_size_than_it_says_is_taken_back(said: int) -> None:
    session = Sink()
    body = Stream(in_pieces(*[PART] * 3), 3 * PART + said)
    with pytest.raises(InvalidInput):
        await Upload(session, "name", PART).run(body)
    assert session.aborted


async def test_a_stream_of_more_parts_than_the_service_takes_is_refused_before_it_is_sent() -> None:
    session = Sink()
    session.most = 3
    await Upload(session, "name", PART).run(Stream(in_pieces(*[PART] * 3)))
    assert len(session.sent) == 3
    session.sent.clear()
    with pytest.raises(InvalidInput, match="part_size") as caught:
        await Upload(session, "name", PART).run(Stream(in_pieces(*[PART] * 4)))
    assert caught.value.kind == "too-large"
    assert session.aborted
    assert len(session.sent) <= 3


async def test_nothing_that_was_sent_is_held_while_more_may_come() -> None:
    session = Sink()
    alive: list[weakref.ref[Piece]] = []
    waiting, go_on = anyio.Event(), anyio.Event()

    async def pieces() -> AsyncIterator[memoryview]:
        for _ in range(5):
            piece = Piece(PART)
            alive.append(weakref.ref(piece))
            view = memoryview(piece)
            del piece
            yield view
            del view
        waiting.set()
        await go_on.wait()
        yield memoryview(b"the end")

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(Upload(session, "name", PART).run, Stream(pieces()))
        await waiting.wait()
        await anyio.wait_all_tasks_blocked()
        gc.collect()
        assert len(session.sent) == 5
        assert [one() for one in alive] == [None] * 5
        go_on.set()


def test_what_the_engine_hands_over_is_held_no_longer_than_it_takes() -> None:
    class Forgetting(MemoryObjects):
        async def put(self, name: str, body: Body) -> ObjectInfo:
            assert isinstance(body, Stream)
            size = 0
            async with body.reading() as pieces:
                async for piece in pieces:
                    size += memoryview(piece).nbytes
                    del piece
            return ObjectInfo(name, size, "v", 0.0)

    with start_blocking_portal() as portal:
        upload = Carrier(Forgetting(), portal).upload("packs/one")
        alive = []
        for _ in range(3):
            piece = Piece(1000)
            alive.append(weakref.ref(piece))
            upload.write(piece)
            del piece
        portal.call(anyio.wait_all_tasks_blocked)
        gc.collect()
        assert [one() for one in alive] == [None] * 3
        upload.finish()


async def test_a_part_that_somebody_holds_is_not_written_to_again(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[tuple[memoryview, bytes]] = []
    send = Multipart.send

    async def hold(self: Multipart, part: Part) -> None:
        if part.number % 3 == 0:  # the memory of the others is for the next
            held.extend((memoryview(piece), bytes(piece)) for piece in part.pieces)
        await send(self, part)

    monkeypatch.setattr(Multipart, "send", hold)
    blobs = [secrets.token_bytes(20 << 20) for _ in range(4)]
    with hostile(well) as server:
        options = replace(options_for(server), http=HttpOptions(deadline=60, answer=60))
        async with packhouse.open("s3://bucket/p", options=options, cache_dir=None) as store:
            saved = await store.save_blobs(blobs)
            assert [await store.load(one) for one in saved] == blobs
    assert len(held) >= 3
    assert all(view == then for view, then in held)


def test_who_gives_an_upload_up_waits_until_it_is_withdrawn() -> None:
    withdrawn: list[str] = []

    class Withdrawing(MemoryObjects):
        async def put(self, name: str, body: Body) -> ObjectInfo:
            try:
                return await super().put(name, body)
            finally:
                with anyio.CancelScope(shield=True):
                    await anyio.sleep(0.3)
                    withdrawn.append(name)

    with start_blocking_portal() as portal:
        carrier = Carrier(Withdrawing(), portal)
        upload = carrier.upload("packs/one")
        upload.write(b"some")
        upload.abort()
        assert withdrawn == ["packs/one"]
        carrier.upload("packs/two").abort()  # which has hardly begun
        assert withdrawn == ["packs/one", "packs/two"]
        began = time.monotonic()
        upload.abort()
        assert time.monotonic() - began < 0.2, "what has ended is not waited for"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_buffer_of_numbers_is_filled_from_a_bucket(anyio_backend: str) -> None:
    with hostile(well) as server:
        async with S3Objects("s3://bucket", options_for(server)) as store:
            body = array("i", range(1000)).tobytes()
            await store.put("numbers", body)
            for length in (None, len(body)):
                numbers = array("i", bytes(len(body)))
                found = await store.get("numbers", length=length, into=memoryview(numbers))
                assert list(numbers) == list(range(1000))
                assert found.data == body


def _at_leisure(talk: Talk) -> None:
    for request in talk.requests():
        done = talk.server.well(request)
        step = max(len(done) // 8, 1 << 16) + 1
        for start in range(0, len(done), step):
            talk.send(done[start : start + step])
            talk.server.over.wait(0.2 if len(done) > 1 << 20 else 0)


@pytest.mark.parametrize("carrier", CARRIERS[:2])
async def test_a_whole_object_has_the_time_that_its_bytes_take(carrier: Any) -> None:
    body = secrets.token_bytes(2 << 20)
    with hostile(_at_leisure) as server:
        server.objects["/bucket/large"] = (body, {})
        async with store_by(carrier, server) as store:
            http = HttpOptions(deadline=0.8, answer=0.8, slowest=1 << 20, tries=1, plain_http=True)
            store.requests.client.options = http
            began = time.monotonic()
            assert (await store.get("large")).data == body
            assert time.monotonic() - began > 1.2, "it came within the deadline: nothing is shown"


@pytest.mark.parametrize("service", ["s3", "gs", "az"])
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_large_object_is_read_by_whoever_names_its_length(
    service: str, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    monkeypatch.setattr("packhouse.objects.bucket.store.WHOLE", 1 << 20)  # of 64 MiB

    body = secrets.token_bytes(1 << 20) + b"more"
    with hostile(well, dialect=DIALECTS[service]) as server:
        async with store_for(server, service) as store:
            await store.put("large", body)
            for start in (0, 3):
                asked = len(server.requests)
                with pytest.raises(InvalidInput, match="name the length") as caught:
                    await store.get("large", start=start)
                assert caught.value.kind == "object-large"
                assert len(server.requests) == asked + 1, "asking again does not help"
            assert (await store.get("large", length=len(body))).data == body
            target = bytearray(len(body))
            await store.get("large", into=memoryview(target))
            assert target == body
            assert (await store.get("large", start=4)).data == body[4:]


async def test_a_deadline_counts_the_time_of_the_service_not_that_of_who_makes_the_stream() -> None:
    async def slowly() -> AsyncIterator[bytes]:
        for _ in range(3):
            await anyio.sleep(0.5)
            yield bytes(4 << 20)

    with hostile(well) as server:
        chosen = options_for(server)
        http = replace(chosen.http, deadline=1.0, slowest=1 << 30)
        async with S3Objects("s3://bucket", replace(chosen, http=http)) as store:
            info = await store.put("name", Stream(slowly()))
    assert info.size == 12 << 20


DIGESTS = [("s3", guarding, "_guard"), ("az", azure_requests, "_md5"), ("gs", Hash, "_update")]


@pytest.mark.parametrize(("service", "owner", "digest"), DIGESTS)
async def test_a_cancelled_write_has_let_go_of_its_body(
    service: str, owner: Any, digest: str, way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast, begun, body = getattr(owner, digest), list[None](), bytearray(1 << 20)

    def slow(*args: Any) -> Any:
        begun.append(None)
        with memoryview(body):
            time.sleep(0.1)
        return fast(*args)

    monkeypatch.setattr(owner, digest, slow)
    with hostile(well, dialect=DIALECTS[service]) as server:
        async with store_for(server, service) as store:
            await way(0.05, lambda: store.put("name", body))
            assert begun
            body.clear()  # refused while somebody looks at it
