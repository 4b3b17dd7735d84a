"""A bucket of Google Cloud Storage keeps the contract on an emulator, by our transport and through other clients."""

from __future__ import annotations

import secrets

import httpx
import pytest

from packhouse.objects import conformance
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
