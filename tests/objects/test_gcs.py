"""A bucket of Google Cloud Storage keeps the contract on an emulator, by our transport and through other clients."""

from __future__ import annotations

import gc
import secrets
import weakref
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from packhouse.objects import conformance
from packhouse.objects.contract import Stream
from packhouse.objects.gcs import GCSObjects, GCSOptions


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
async def test_a_bucket_keeps_the_contract(
    check: conformance.Check, gcs_options: GCSOptions, anyio_backend: str
) -> None:
    async with GCSObjects(f"gs://packhouse/{secrets.token_hex(4)}/é +&x", gcs_options) as store:
        await check(conformance.Subject(store, many=60, racers=4))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_listing_of_several_pages_misses_nothing(gcs_options: GCSOptions, anyio_backend: str) -> None:
    async with GCSObjects("gs://packhouse", gcs_options) as store:
        await conformance.a_listing_misses_nothing(conformance.Subject(store))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
async def test_a_handed_in_client_keeps_the_contract(
    check: conformance.Check, gcs_options: GCSOptions, anyio_backend: str
) -> None:
    async with httpx.AsyncClient() as handed, GCSObjects("gs://packhouse", gcs_options, client=handed) as store:
        await check(conformance.Subject(store, many=60, racers=4))


async def test_a_part_that_was_sent_does_not_wait_for_the_garbage_collector(gcs_options: GCSOptions) -> None:
    class Piece(bytearray):
        """Bytes that can be watched."""

    alive: list[weakref.ref[Piece]] = []

    async def pieces() -> AsyncIterator[memoryview]:
        for _ in range(4):
            piece = Piece(256 << 10)
            alive.append(weakref.ref(piece))
            view = memoryview(piece)
            del piece
            yield view
            del view

    options = replace(gcs_options, part_size=256 << 10)
    async with GCSObjects(f"gs://packhouse/{secrets.token_hex(4)}", options) as store:
        gc.disable()
        try:
            assert (await store.put("large", Stream(pieces()))).size == 1 << 20
            assert [one() for one in alive] == [None] * 4
        finally:
            gc.enable()
