"""The event loop has its turns while a bucket is at its fastest: nothing goes on for as long as there is more."""

from __future__ import annotations

import gc
import ssl
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from typing import Any, cast

import anyio
import anyio.lowlevel
import httpx
import orjson
import pytest

from packhouse.errors import StorageError
from packhouse.objects.azure import AzureObjects, AzureOptions
from packhouse.objects.bucket.store import BucketObjects
from packhouse.objects.gcs import GCSObjects, GCSOptions
from packhouse.objects.http import Call, HttpClient
from packhouse.objects.http.calls import Signed
from packhouse.objects.http.wires import PlainWire, TlsWire, Wire
from packhouse.objects.s3 import S3Objects, S3Options
from tests.hostile.driving import options_for
from tests.hostile.server import Talk, answer, hostile

SIZE = 16 << 20
LEAST = 16
"""Turns: one for each MiB."""
NAMES = 4000


class Tireless:
    """A socket, or TLS over one, that always has more and takes all that it is given."""

    def recv_into(self, target: memoryview, flags: int = 0) -> int:
        del flags
        return len(target)

    def read(self, count: int, target: memoryview) -> int:
        assert count <= len(target)
        return count

    def sendmsg(self, buffers: list[memoryview]) -> int:
        return sum(buffer.nbytes for buffer in buffers)

    def write(self, buffer: memoryview) -> int:
        return buffer.nbytes


def tireless(kind: str) -> Wire:
    peer = cast("Any", Tireless())
    if kind == "plain":
        return PlainWire(peer)
    wire = TlsWire(peer, ssl.create_default_context(), "host")
    wire._tls = peer  # what is read and written is not looked at
    return wire


class Turns:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            await anyio.lowlevel.checkpoint()
            self.count += 1


@pytest.mark.parametrize(("kind", "least"), [("plain", LEAST), ("tls", 8 * LEAST)])
async def test_a_service_that_is_always_ready_to_send_does_not_stop_the_loop(kind: str, least: int) -> None:
    wire, turns, target = tireless(kind), Turns(), memoryview(bytearray(SIZE))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turns.run)
        done = 0
        while done < SIZE:
            done += await wire.read_into(target[done:])
        tasks.cancel_scope.cancel()
    assert turns.count >= least


@pytest.mark.parametrize("kind", ["plain", "tls"])
@pytest.mark.parametrize("buffers", [1, 300])
async def test_a_service_that_takes_all_at_once_does_not_stop_the_loop(kind: str, buffers: int) -> None:
    wire, turns = tireless(kind), Turns()
    bodies = 1 if kind == "tls" else 64  # a long plain one is a thread's
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turns.run)
        for _ in range(bodies):
            queue = deque(memoryview(bytes(SIZE // bodies // buffers)) for _ in range(buffers))
            assert await wire.send(queue)
            assert not queue
        tasks.cancel_scope.cancel()
    assert turns.count >= LEAST - 1


def well(talk: Talk) -> None:
    for _ in talk.requests():
        talk.send(answer(200, b"body"))


async def test_many_requests_at_once_begin_in_turns_of_their_own() -> None:
    turns, begun = Turns(), list[int]()

    async def sign(call: Call) -> Signed:
        begun.append(turns.count)
        return Signed(call.url, call.headers)

    with hostile(well) as server:
        call = Call(method="GET", url=f"{server.url}/name", what="read name")
        async with HttpClient() as client, anyio.create_task_group() as tasks:
            tasks.start_soon(turns.run)
            async with anyio.create_task_group() as requests:
                for _ in range(24):
                    requests.start_soon(client.fetch, call, sign, lambda _: None)
            tasks.cancel_scope.cancel()
    assert len(begun) == 24
    assert max(Counter(begun).values()) <= 2, "trio chooses who goes first in a turn"


async def test_a_request_is_sent_while_another_waits_for_its_credentials() -> None:
    waiting, answered = anyio.Event(), anyio.Event()

    async def sign_late(call: Call) -> Signed:
        waiting.set()
        await answered.wait()
        return Signed(call.url, call.headers)

    async def sign(call: Call) -> Signed:
        return Signed(call.url, call.headers)

    with hostile(well) as server:
        call = Call(method="GET", url=f"{server.url}/name", what="read name")
        async with HttpClient() as client, anyio.create_task_group() as requests:
            requests.start_soon(client.fetch, call, sign_late, lambda _: None)
            await waiting.wait()
            with anyio.fail_after(5):
                await client.fetch(call, sign, lambda _: None)
            answered.set()


class Longest:
    """The most CPU time between two turns of the loop, and all of it, in seconds."""

    def __init__(self) -> None:
        self.most = 0.0
        self.all = 0.0

    async def run(self) -> None:
        began = last = time.thread_time()
        while True:
            await anyio.lowlevel.checkpoint()
            now = time.thread_time()
            self.most, self.all, last = max(self.most, now - last), now - began, now


def listed_by_s3(name: str) -> str:
    etag = "&quot;d41d8cd98f00b204e9800998ecf8427e&quot;"
    return (
        f"<Contents><Key>{name}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>{etag}</ETag>"
        "<Size>8388608</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def page_of_s3() -> bytes:
    entries = "".join(listed_by_s3(f"p/{number:064x}") for number in range(NAMES))
    return f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()


def page_of_azure() -> bytes:
    entries = "".join(
        f"<Blob><Name>p/{number:064x}</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified>"
        "<Etag>0x8D</Etag><Content-Length>8388608</Content-Length></Properties></Blob>"
        for number in range(NAMES)
    )
    return f"<EnumerationResults><Blobs>{entries}</Blobs><NextMarker /></EnumerationResults>".encode()


def page_of_google() -> bytes:
    more = {"size": "8388608", "generation": "1", "updated": "2026-01-01T00:00:00Z"}
    return orjson.dumps({"items": [{"name": f"p/{number:064x}", **more} for number in range(NAMES)]})


def answering(body: bytes) -> httpx.AsyncClient:
    """Return a client to whom this is the answer to everything."""
    told = {"content-length": str(len(body))}
    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers=told, stream=httpx.ByteStream(body)))
    return httpx.AsyncClient(transport=transport)


def s3(client: httpx.AsyncClient) -> BucketObjects:
    return S3Objects("s3://bucket", S3Options(endpoint="http://127.0.0.1", region="r", anonymous=True), client=client)


def azure(client: httpx.AsyncClient) -> BucketObjects:
    options = AzureOptions(endpoint="http://127.0.0.1", account_key="a2V5")
    return AzureObjects("az://account/container", options, client=client)


def google(client: httpx.AsyncClient) -> BucketObjects:
    return GCSObjects("gs://bucket", GCSOptions(endpoint="http://127.0.0.1", anonymous=True), client=client)


@pytest.fixture
def no_collection() -> Iterator[None]:
    """No collection of all that other tests have left, which would be the longest of all."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.parametrize(
    ("service", "page"), [(s3, page_of_s3), (azure, page_of_azure), (google, page_of_google)], ids=["s3", "az", "gs"]
)
@pytest.mark.usefixtures("no_collection")
async def test_a_long_list_does_not_stop_the_loop(
    service: Callable[[httpx.AsyncClient], BucketObjects], page: Callable[[], bytes]
) -> None:
    body, longest = page(), Longest()
    async with answering(body) as client, service(client) as store, anyio.create_task_group() as tasks:
        tasks.start_soon(longest.run)
        await anyio.lowlevel.checkpoint()
        names = [info.name async for info in store.list()]
        await anyio.lowlevel.checkpoint()
        tasks.cancel_scope.cancel()
    assert names == [f"p/{number:064x}" for number in range(NAMES)]
    assert longest.most < longest.all / 2


@pytest.mark.parametrize("length", [None, 48 << 20])
@pytest.mark.usefixtures("no_collection")
async def test_room_for_a_large_object_is_not_cleared_on_the_loop(length: int | None) -> None:
    size, longest = 48 << 20, Longest()
    body = bytes(size)

    def large(talk: Talk) -> None:
        for _ in talk.requests():
            status, more = (200, {}) if length is None else (206, {"content_range": f"bytes 0-{size - 1}/{size}"})
            talk.send(answer(status, body, **more))

    with hostile(large) as server:
        async with S3Objects("s3://bucket", options_for(server)) as store, anyio.create_task_group() as tasks:
            await store.get("name", length=length)
            started = time.thread_time()
            bytearray(size)
            clearing = time.thread_time() - started
            tasks.start_soon(longest.run)
            found = await store.get("name", length=length)
            tasks.cancel_scope.cancel()
    assert found.data.nbytes == size
    assert longest.most < clearing / 2


@pytest.mark.parametrize("at", [0, 300, -10])
async def test_a_long_list_that_is_broken_anywhere_is_refused(at: int) -> None:
    whole = page_of_s3()
    body = whole[:at] + b"<" + whole[at:]
    async with answering(body) as client, s3(client) as store:
        with pytest.raises(StorageError, match="no XML that can be used"):
            _ = [info async for info in store.list()]
