"""A container of Azure keeps the contract on Azurite, by our transport and through other clients."""

from __future__ import annotations

import secrets

import httpx
import pytest

from packhouse.objects import conformance
from packhouse.objects.azure import AzureObjects, AzureOptions


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
async def test_a_container_keeps_the_contract(
    check: conformance.Check, azure_options: AzureOptions, anyio_backend: str
) -> None:
    async with AzureObjects(f"az://packhousetest/packhouse/{secrets.token_hex(4)}/é +&x", azure_options) as store:
        await check(conformance.Subject(store, many=60, racers=4))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_listing_of_several_pages_misses_nothing(azure_options: AzureOptions, anyio_backend: str) -> None:
    async with AzureObjects("az://packhousetest/packhouse", azure_options) as store:
        await conformance.a_listing_misses_nothing(conformance.Subject(store))


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
async def test_a_handed_in_client_keeps_the_contract(
    check: conformance.Check, azure_options: AzureOptions, anyio_backend: str
) -> None:
    async with (
        httpx.AsyncClient() as handed,
        AzureObjects("az://packhousetest/packhouse", azure_options, client=handed) as store,
    ):
        await check(conformance.Subject(store, many=60, racers=4))
