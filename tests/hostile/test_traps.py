"""Traps of HTTP clients that no answer of a server sets off: what they do with a body, and what they raise."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import h2.config
import h2.connection
import h2.events
import httpx
import httpx2
import pytest
import trustme

import packhouse
from packhouse.objects.http import Buffers, Call, HttpOptions, Transport
from packhouse.objects.http.calls import Signed
from packhouse.objects.s3 import S3Objects, S3Options
from tests.hostile.driving import CARRIERS, Carrier, client_for, options_for
from tests.hostile.server import Hostile, Talk, answer, hostile

STOCK: list[Any] = [httpx, httpx2]


def well(talk: Talk) -> None:
    for request in talk.requests():
        talk.send(talk.server.well(request))


@asynccontextmanager
async def store_by(carrier: Carrier, server: Hostile) -> AsyncIterator[S3Objects]:
    """A store that goes by a carrier."""
    if carrier == "own":
        async with S3Objects("s3://bucket", options_for(server)) as store:
            yield store
        return
    async with client_for(carrier) as client, S3Objects("s3://bucket", options_for(server), client=client) as store:
        yield store


async def as_it_is(call: Call) -> Signed:
    """Sign nothing."""
    return Signed(call.url, call.headers)


@pytest.mark.filterwarnings("ignore:Async generator:ResourceWarning")  # httpx leaves a body that it gave up to trio
@pytest.mark.parametrize("carrier", CARRIERS)
@pytest.mark.parametrize("told", ["3", "30"])
async def test_a_body_of_another_length_than_announced_is_an_error_of_ours(carrier: Carrier, told: str) -> None:
    with hostile(well) as server:
        async with store_by(carrier, server) as store:
            headers = {"content-length": told, "accept-encoding": "identity"}
            call = Call(
                method="PUT", url=f"{server.url}/bucket/x", what="write x", headers=headers, body=[b"ten bytes!"]
            )
            with pytest.raises(packhouse.StorageError) as caught:
                await store.requests.client.fetch(call, as_it_is, lambda _: None)
            assert caught.value.kind == "client-failed"
            await store.put("next", b"body")
            assert set(server.objects) == {"/bucket/next"}, "what was left over of the body became a request"


@pytest.mark.parametrize("module", STOCK)
async def test_a_client_that_was_closed_is_an_error_of_ours(module: Any) -> None:
    client = module.AsyncClient()
    await client.aclose()
    with hostile(well) as server:
        async with S3Objects("s3://bucket", options_for(server), client=client) as store:
            with pytest.raises(packhouse.StorageError, match="RuntimeError") as caught:
                await store.put("name", b"body")
    assert caught.value.kind == "client-failed"


@pytest.mark.parametrize("module", STOCK)
async def test_what_a_transport_of_the_users_own_raises_is_an_error_of_ours(module: Any) -> None:
    class Odd(module.AsyncBaseTransport):  # type: ignore[misc] # of either library
        async def handle_async_request(self, request: Any) -> Any:
            raise KeyError(str(request.url), str(request.headers["authorization"]))

    with hostile(well) as server:
        async with (
            module.AsyncClient(transport=Odd()) as client,
            S3Objects("s3://bucket", options_for(server), client=client) as store,
        ):
            with pytest.raises(packhouse.StorageError, match="KeyError") as caught:
                await store.put("name", b"body")
    assert caught.value.kind == "client-failed"
    assert "Signature" not in f"{caught.value!r} {caught.value.__cause__!r}"


@pytest.mark.parametrize("module", STOCK)
async def test_bodies_leave_in_pieces_of_a_known_whole(module: Any) -> None:
    seen: list[int] = []
    announced: list[str] = []

    class Looking(module.AsyncBaseTransport):  # type: ignore[misc] # of either library
        async def handle_async_request(self, request: Any) -> Any:
            announced.append(request.headers.get("content-length"))
            assert "transfer-encoding" not in request.headers
            seen.extend([len(piece) async for piece in request.stream])
            return module.Response(200, headers={"etag": '"e"', "content-length": "0"}, stream=module.ByteStream(b""))

    with hostile(well) as server:
        async with (
            module.AsyncClient(transport=Looking()) as client,
            S3Objects("s3://bucket", options_for(server), client=client) as store,
        ):
            await store.put("name", bytes((5 << 20) + 10))
    assert announced == [str((5 << 20) + 10)]
    assert seen == [1 << 20] * 5 + [10]


async def test_a_body_can_be_iterated_again() -> None:
    body = Buffers([b"one", bytearray(b"two"), memoryview(b"three")])
    for _ in range(2):
        assert b"".join([bytes(piece) async for piece in body]) == b"onetwothree"


# Connections that a client keeps.


def _surplus(talk: Talk) -> None:
    for request in talk.requests():
        planted = answer(200, b"planted")
        talk.send(answer(200, request.path.encode()) + (planted if request.path.endswith("first") else b""))


def _context(authority: trustme.CA, *protocols: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.set_alpn_protocols(list(protocols))
    return context


@asynccontextmanager
async def speaking_http_2(
    module: Any, server: Hostile, authority: trustme.CA, folder: Path
) -> AsyncIterator[S3Objects]:
    """A store by a client that may speak HTTP/2: one of ours, where no library is named."""
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    http = HttpOptions(deadline=5, answer=2, tries=3, http2=module is None, ca=str(folder / "ca.pem"))
    options = S3Options(endpoint=server.url, region="us-east-1", access_key_id="a", secret_access_key="s", http=http)
    if module is None:
        async with S3Objects("s3://bucket", options) as store:
            yield store
        return
    trusting = ssl.create_default_context(cafile=str(folder / "ca.pem"))
    async with (
        module.AsyncClient(http2=True, verify=trusting) as client,
        S3Objects("s3://bucket", options, client=client) as store,
    ):
        yield store


@pytest.mark.parametrize("module", [None, *STOCK])
async def test_surplus_bytes_are_not_believed_where_http_2_was_asked_for_in_vain(module: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    with hostile(_surplus, _context(authority, "http/1.1")) as server:
        async with speaking_http_2(module, server, authority, tmp_path) as store:
            for name in ("first", "second", "first", "third"):
                assert bytes((await store.get(name)).data).endswith(name.encode())


def _hang_up_on_the_second(talk: Talk) -> None:
    """Speak HTTP/2; the second request of the first connection is taken, and answered by hanging up."""
    peer = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
    peer.initiate_connection()
    talk.send(peer.data_to_send())
    count = 0
    while data := talk.raw.recv(65536):
        for event in peer.receive_data(data):
            if isinstance(event, h2.events.RequestReceived):
                count += 1
                talk.server.told[str(talk.number)] = count
                if (talk.number, count) == (1, 2):
                    return
            elif isinstance(event, h2.events.StreamEnded):
                headers = [(":status", "200"), ("content-length", "4"), ("etag", '"e"')]
                peer.send_headers(event.stream_id, headers)
                peer.send_data(event.stream_id, b"body", end_stream=True)
        talk.send(peer.data_to_send())


@pytest.mark.parametrize("module", [None, *STOCK])
async def test_a_hang_up_on_a_connection_of_http_2_costs_a_try(module: Any, tmp_path: Path) -> None:
    authority = trustme.CA()
    with hostile(_hang_up_on_the_second, _context(authority, "h2")) as server:
        async with speaking_http_2(module, server, authority, tmp_path) as store:
            for _ in range(4):
                assert bytes((await store.get("name")).data) == b"body"
        assert server.told == {"1": 2, "2": 3}, "connections are kept, and this one was lost once"


async def test_the_transport_alone_refuses_a_length_that_is_not_the_bodys() -> None:
    with hostile(well) as server:
        async with httpx.AsyncClient(transport=Transport()) as client:
            with pytest.raises(httpx.LocalProtocolError):
                await client.put(f"{server.url}/bucket/x", content=b"ten bytes!", headers={"content-length": "3"})
    assert server.objects == {}
