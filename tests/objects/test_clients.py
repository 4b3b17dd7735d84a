"""A client of the user's own, proxies: the way to the bucket is theirs, the promises are ours."""

from __future__ import annotations

import pickle
import secrets
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from socket import create_connection, socket
from typing import Any

import anyio
import httpx
import httpx2
import pytest
import trustme

import packhouse
import packhouse.sync
from packhouse.objects.http.pools import LIMIT, connections_of
from packhouse.objects.s3 import S3Objects, S3Options
from tests.hostile.driving import options_for
from tests.hostile.server import Talk, hostile
from tests.objects.test_http import tls_of, trusting, well
from tests.servers.nginx import nginx_before
from tests.servers.running import NO_SERVER, ServerMissing

CLIENTS: list[Any] = [httpx.AsyncClient, httpx2.AsyncClient]


@pytest.mark.parametrize("make", CLIENTS)
async def test_a_store_goes_through_the_client_it_is_given(s3_options: S3Options, make: Any) -> None:
    seen: list[str] = []

    async def note(request: Any) -> None:
        seen.append(request.method)

    url = f"s3://packhouse/client-{secrets.token_hex(4)}"
    options = packhouse.StoreOptions(bucket=s3_options)
    async with make(event_hooks={"request": [note]}) as client:
        async with packhouse.open(url, options=options, client=client) as store:
            large = secrets.token_bytes(9 << 20)
            saved = await store.save_blobs([b"small", large])
            assert await store.load(saved[1]) == large
            await store.names.put("name", 1)
            with pytest.raises(packhouse.InvalidInput, match="client of yours"):
                pickle.dumps(store)
        assert not client.is_closed, "its owner closes it"
    assert {"GET", "PUT", "POST"} <= set(seen)


def test_a_client_is_refused_where_there_is_no_bucket(tmp_path: Path) -> None:
    with pytest.raises(packhouse.InvalidInput, match="client"):
        packhouse.open(tmp_path, client=httpx.AsyncClient())


@pytest.mark.parametrize("make", CLIENTS)
def test_a_sync_store_takes_a_client(s3_options: S3Options, make: Any) -> None:
    url = f"s3://packhouse/client-{secrets.token_hex(4)}"
    options = packhouse.StoreOptions(bucket=s3_options)
    with packhouse.sync.open(url, options=options, client=make()) as store:
        (saved,) = store.save_blobs([b"sync"])
        assert store.load(saved) == b"sync"


@pytest.mark.parametrize("make", CLIENTS)
@pytest.mark.parametrize("handles", [1, 3])
async def test_cancelled_requests_cost_a_small_pool_nothing(make: Any, handles: int) -> None:
    module: Any = httpx if make is httpx.AsyncClient else httpx2
    with hostile(well) as server:
        async with make(limits=module.Limits(max_connections=4)) as client:
            assert connections_of(client) == 4
            chosen = options_for(server)
            chosen = replace(chosen, http=replace(chosen.http, deadline=10, answer=5))
            async with AsyncExitStack() as stack:
                stores = [S3Objects("s3://bucket", chosen, client=client) for _ in range(handles)]
                for store in stores:
                    await stack.enter_async_context(store)
                await stores[0].put("name", b"body")

                async def read(store: S3Objects, after: float) -> None:
                    with anyio.move_on_after(after):
                        await store.get("name")

                for turn in range(8):
                    async with anyio.create_task_group() as tasks:
                        for number in range(30):
                            tasks.start_soon(read, stores[number % handles], 0.001 * ((number * 7 + turn) % 30))
                with anyio.fail_after(10):
                    for turn in range(8):
                        assert bytes((await stores[turn % handles].get("name")).data) == b"body"


def test_a_pool_that_tells_nothing_is_bounded_by_the_options_alone() -> None:
    assert connections_of(httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(200)))) == LIMIT
    assert connections_of(object()) == LIMIT


@contextmanager
def tunnel() -> Iterator[tuple[str, list[str]]]:
    """A proxy that carries TLS through CONNECT; it tells where to."""
    asked: list[str] = []

    def pump(source: socket, target: socket) -> None:
        try:
            while piece := source.recv(65536):
                target.sendall(piece)
        except OSError:
            pass
        finally:
            target.close()

    def serve(talk: Talk) -> None:
        head = b""
        while b"\r\n\r\n" not in head:
            head += talk.raw.recv(4096)
        where = head.split(b" ")[1].decode()
        asked.append(where)
        host, _, port = where.rpartition(":")
        there = create_connection((host, int(port)))
        talk.send(b"HTTP/1.1 200 Through\r\n\r\n")
        back = threading.Thread(target=pump, args=(there, talk.raw), daemon=True)
        back.start()
        pump(talk.raw, there)
        back.join(5)

    with hostile(serve) as server:
        yield server.url, asked


@pytest.mark.parametrize("asked_for", [True, False])
async def test_a_proxy_of_the_environment_is_used_when_asked_for_and_not_otherwise(
    asked_for: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with tunnel() as (url, asked), hostile(well, tls_of(authority, "127.0.0.1")) as server:
        monkeypatch.setenv("HTTPS_PROXY", url)
        options = trusting(server, authority, tmp_path)
        options = replace(options, http=replace(options.http, trust_env=asked_for))
        async with S3Objects("s3://bucket", options) as store:
            await store.put("name", b"through" * 100_000)
            assert bytes((await store.get("name")).data) == b"through" * 100_000
        assert set(asked) == ({f"127.0.0.1:{server.port}"} if asked_for else set())


async def test_a_proxy_that_is_named_carries_what_is_sent(tmp_path: Path) -> None:
    authority = trustme.CA()
    with tunnel() as (url, asked), hostile(well, tls_of(authority, "127.0.0.1")) as server:
        options = trusting(server, authority, tmp_path)
        options = replace(options, http=replace(options.http, proxy=url))
        async with S3Objects("s3://bucket", options) as store:
            await store.put("name", b"through")
        assert asked == [f"127.0.0.1:{server.port}"]


@pytest.mark.parametrize("way", ["environment", "option"])
@pytest.mark.parametrize("plain_http", [False, True])
async def test_plain_http_to_this_host_passes_a_proxy_by_unless_plain_http_is_asked_for(
    way: str, plain_http: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with hostile(well) as server, hostile(well) as proxy:
        monkeypatch.setenv("HTTP_PROXY", proxy.url)
        monkeypatch.setenv("http_proxy", proxy.url)
        chosen = {"trust_env": True} if way == "environment" else {"proxy": proxy.url}
        for host in ("127.0.0.1", "localhost"):
            options = replace(options_for(server), endpoint=f"http://{host}:{server.port}")
            options = replace(options, http=replace(options.http, plain_http=plain_http, **chosen))
            async with S3Objects("s3://bucket", options) as store:
                await store.put(host, b"plain")
        there, other = (proxy, server) if plain_http else (server, proxy)
        assert len(there.requests) == 2
        assert other.requests == []


async def test_a_proxy_that_is_not_there_is_no_network_and_keeps_its_password(tmp_path: Path) -> None:
    authority = trustme.CA()
    with hostile(well, tls_of(authority, "127.0.0.1")) as server:
        options = trusting(server, authority, tmp_path)
        http = replace(options.http, proxy="http://user:proxy-password@127.0.0.1:1", tries=1)
        async with S3Objects("s3://bucket", replace(options, http=http)) as store:
            with pytest.raises(packhouse.StorageError) as caught:
                await store.put("name", b"through")
        assert caught.value.kind == "no-network"
        told = f"{caught.value} {caught.value!r} {caught.value.__cause__!r} {http!r}"
        assert "proxy-password" not in told
        assert server.requests == []


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("wanted", [True, False])
async def test_a_store_speaks_http_2_when_asked_for_and_not_otherwise(
    wanted: bool, s3_options: S3Options, tmp_path: Path, anyio_backend: str
) -> None:
    authority, log = trustme.CA(), tmp_path / "log"
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem.write_to_path(tmp_path / "server.pem")
    assert s3_options.endpoint is not None
    try:
        with nginx_before(s3_options.endpoint, tmp_path / "server.pem", log) as endpoint:
            http = replace(s3_options.http, ca=str(tmp_path / "ca.pem"), http2=wanted)
            options = packhouse.StoreOptions(bucket=replace(s3_options, endpoint=endpoint, http=http))
            large = secrets.token_bytes(9 << 20)
            async with packhouse.open(f"s3://packhouse/h2-{secrets.token_hex(4)}", options=options) as store:
                saved = await store.save_blobs([large, *(number.to_bytes(2) for number in range(100))])
                assert await store.load(saved[0]) == large
                await store.names.put("name", 1)
                with anyio.move_on_after(0.01):  # a stream that is given up leaves the connection as it was
                    await store.load(saved[0])
                loaded = {key: bytes(data) async for key, data in store.load_blobs(saved[1:])}
                assert len(loaded) == 100
    except ServerMissing as missing:
        pytest.skip(f"{NO_SERVER}{missing}")
    lines = [line.split() for line in log.read_text().splitlines()]
    # Whoever looked whether it is up spoke no TLS.
    spoken = {version for version, _, status in lines if status != "400"}
    assert spoken == ({"HTTP/2.0"} if wanted else {"HTTP/1.1"})
