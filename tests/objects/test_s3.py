"""A bucket keeps the contract on a real server, by our transport and through clients that are handed in."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import anyio
import httpx
import httpx2
import pytest

from packhouse.errors import PackhouseError, StorageError, StoreNotFound
from packhouse.objects import Stream, conformance
from packhouse.objects.s3 import S3Objects, S3Options

CLIENTS: dict[str, Any] = {"own": None, "httpx": httpx.AsyncClient, "httpx2": httpx2.AsyncClient}


@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
async def test_a_bucket_keeps_the_contract(check: conformance.Check, s3_options: S3Options) -> None:
    async with S3Objects(f"s3://packhouse/{secrets.token_hex(4)}/é +&x", s3_options) as store:
        await check(conformance.Subject(store, many=60, racers=4))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_listing_of_several_pages_misses_nothing(s3_options: S3Options, anyio_backend: str) -> None:
    async with S3Objects("s3://packhouse", s3_options) as store:
        await conformance.a_listing_misses_nothing(conformance.Subject(store))


@pytest.mark.parametrize(("anyio_backend", "client"), [("asyncio", "httpx"), ("trio", "httpx2")])
@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
async def test_a_handed_in_client_keeps_the_contract(
    check: conformance.Check, client: str, s3_options: S3Options, anyio_backend: str
) -> None:
    async with CLIENTS[client]() as handed, S3Objects("s3://packhouse", s3_options, client=handed) as store:
        await check(conformance.Subject(store, many=60, racers=4))


@pytest.mark.parametrize(
    ("change", "url", "kind"),
    [
        ({"secret_access_key": "wrong"}, "s3://packhouse", "bad-credentials"),
        ({"access_key_id": "nobody"}, "s3://packhouse", "bad-credentials"),
        ({"access_key_id": "poor", "secret_access_key": "poor-secret"}, "s3://packhouse", "access-denied"),
        ({}, "s3://no-such-bucket", "no-bucket"),
        ({"endpoint": "http://127.0.0.1:9"}, "s3://packhouse", "no-network"),
        ({"endpoint": "https://nowhere.invalid"}, "s3://packhouse", "no-network"),
    ],
)
async def test_what_is_refused_says_what_to_do(
    s3_options: S3Options, change: dict[str, str], url: str, kind: str
) -> None:
    options = replace(s3_options, **change, http=replace(s3_options.http, tries=2))  # type: ignore[arg-type]
    async with S3Objects(url, options) as store:
        with pytest.raises(PackhouseError) as caught:
            await store.put("refused", b"x")
        assert caught.value.kind == kind
        assert isinstance(caught.value, StoreNotFound if kind == "no-bucket" else StorageError)
        assert "; " in str(caught.value), "the sentence says what to do"


async def test_an_upload_that_is_cancelled_leaves_no_parts(s3_options: S3Options) -> None:
    async with S3Objects(f"s3://packhouse/{secrets.token_hex(4)}", s3_options) as store:
        reached = anyio.Event()

        async def pieces() -> AsyncIterator[bytes]:
            for _ in range(3):
                yield bytes(8 << 20)
            reached.set()
            await anyio.sleep_forever()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(store.put, "cancelled", Stream(pieces()))
            await reached.wait()
            tasks.cancel_scope.cancel()
        assert [info async for info in store.list()] == []
        assert await store.uploads() == ()


async def test_memory_of_an_upload_is_bounded_by_its_parts(s3_options: S3Options) -> None:
    import tracemalloc  # noqa: PLC0415 - slow once it is there

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(96):
            yield bytes(1 << 20)

    options = replace(s3_options, part_size=5 << 20, parts_at_once=2)
    async with S3Objects(f"s3://packhouse/{secrets.token_hex(4)}", options) as store:
        tracemalloc.start()
        info = await store.put("large", Stream(pieces(), 96 << 20))
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert info.size == 96 << 20
        assert peak < 28 << 20
        await store.delete(["large"])
