"""All addresses of a host are tried: one that refuses and one that never answers cost a moment, not the operation."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

import packhouse
from packhouse.errors import InvalidInput, StorageError
from packhouse.objects.http import HttpOptions, connecting
from packhouse.objects.s3 import S3Objects, S3Options
from tests.hostile.driving import options_for
from tests.hostile.server import hostile
from tests.objects.test_http import well


@pytest.fixture
def full() -> Iterator[int]:
    """A port at which nobody answers: its queue of connections is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            each.connect_ex(listener.getsockname())
        yield listener.getsockname()[1]
        for each in waiting:
            each.close()


def named(monkeypatch: pytest.MonkeyPatch, *ports: int) -> None:
    """Let a host's name have these addresses, in this order."""

    async def found(host: str, port: int, **more: object) -> list[tuple[object, ...]]:
        del host, port, more
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", each)) for each in ports]

    monkeypatch.setattr(anyio, "getaddrinfo", found)
    monkeypatch.setattr(random, "shuffle", lambda _: None)


async def test_an_address_that_refuses_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile(well) as server:
        named(monkeypatch, 1, server.port)
        async with S3Objects("s3://bucket", options_for(server)) as store:
            await store.put("name", b"body")
        assert server.count("PUT") == 1


async def test_an_address_that_never_answers_costs_a_moment(monkeypatch: pytest.MonkeyPatch, full: int) -> None:
    monkeypatch.setattr(connecting, "_PATIENCE", 0.2)
    with hostile(well) as server:
        named(monkeypatch, full, server.port)
        began = time.monotonic()
        async with S3Objects("s3://bucket", options_for(server)) as store:
            await store.put("name", b"body")
        assert time.monotonic() - began >= 0.2, "it was waited for"
        assert server.count("PUT") == 1


async def test_a_host_none_of_whose_addresses_answers_is_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with hostile(well) as server:
        named(monkeypatch, 1, 1)
        async with S3Objects("s3://bucket", options_for(server)) as store:
            with pytest.raises(StorageError) as caught:
                await store.put("name", b"body")
    assert caught.value.kind == "no-network"


@pytest.mark.parametrize("content", [None, "no certificates"], ids=["missing", "no PEM"])
@pytest.mark.parametrize("trust_env", [False, True])
@pytest.mark.parametrize("said", ["option", "environment"])
async def test_a_file_of_certificates_that_cannot_be_used_is_named_at_once(
    content: str | None, trust_env: bool, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "authority.pem"
    if content is not None:
        file.write_text(content)
    if said == "environment":
        monkeypatch.setenv("AWS_CA_BUNDLE", str(file))
    http = HttpOptions(ca=str(file) if said == "option" else None, trust_env=trust_env)
    options = S3Options(endpoint="https://127.0.0.1:9", region="r", anonymous=True, http=http)
    began = time.monotonic()
    with pytest.raises(InvalidInput, match=r"authority\.pem") as caught:
        async with packhouse.open("s3://bucket/p", options=options):
            pass
    assert caught.value.kind == "option"
    assert time.monotonic() - began < 3
