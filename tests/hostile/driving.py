"""Runs one behaviour against one transport, and holds the clock to the deadline."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from typing import Any, Literal, TypeAlias

import httpx
import httpx2
from google.oauth2.credentials import Credentials

from packhouse.objects.azure import AzureObjects, AzureOptions
from packhouse.objects.bucket import BucketObjects
from packhouse.objects.contract import ObjectInfo
from packhouse.objects.gcs import GCSObjects, GCSOptions
from packhouse.objects.http import HttpOptions, Transport
from packhouse.objects.s3 import S3Objects, S3Options
from tests.hostile import google, microsoft
from tests.hostile.behaviours import Behaviour, Case
from tests.hostile.server import Hostile, hostile

__all__ = [
    "CARRIERS",
    "Carrier",
    "azure_options_for",
    "client_for",
    "drive",
    "gcs_options_for",
    "options_for",
    "store_for",
]

Carrier: TypeAlias = Literal["own", "httpx", "httpx2", "own behind httpx"]
CARRIERS: tuple[Carrier, ...] = ("own", "httpx", "httpx2", "own behind httpx")
DEADLINE = 2.0
DIALECTS: dict[str, Any] = {"s3": None, "gs": google.well, "az": microsoft.well}
KEY = "cGxhbnRlZCBrZXkgb2YgYW4gYWNjb3VudA=="
SECRETS = {
    "access_key_id": "AKIAPLANTEDACCESSKEY",
    "secret_access_key": "planted/secret+key",
    "session_token": "planted-token",
}


def options_for(server: Hostile, **more: Any) -> S3Options:
    """Little patience, so that everything ends soon."""
    http = HttpOptions(deadline=DEADLINE, answer=0.7, slowest=8 << 20, tries=3, plain_http=True)
    return S3Options(endpoint=server.url, region="us-east-1", **{**SECRETS, "http": http, **more})


def azure_options_for(server: Hostile, **more: Any) -> AzureOptions:
    """The same for Azure."""
    return AzureOptions(endpoint=server.url, **{"account_key": KEY, "http": options_for(server).http, **more})


def gcs_options_for(server: Hostile, **more: Any) -> GCSOptions:
    """The same for Google, with a token."""
    untyped: Any = Credentials
    given: Any = {"credentials": untyped(google.TOKEN), "http": options_for(server).http, **more}
    return GCSOptions(endpoint=server.url, **given)


def store_for(server: Hostile, service: str, client: Any = None) -> BucketObjects:
    """Return a store that speaks a service's dialect."""
    if service == "gs":
        return GCSObjects("gs://bucket", gcs_options_for(server), client=client)
    if service == "az":
        return AzureObjects("az://account/bucket", azure_options_for(server), client=client)
    return S3Objects("s3://bucket", options_for(server), client=client)


async def drive(behaviour: Behaviour, carrier: Carrier, service: str = "s3") -> float:
    """Run it; return the seconds of its slowest operation.

    Raises:
        AssertionError: a promise was broken.
    """
    with hostile(behaviour.serve, dialect=DIALECTS[service]) as server:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(client_for(carrier)) if carrier != "own" else None
            store = await stack.enter_async_context(store_for(server, service, client))
            slowest = _time(store)
            await behaviour.check(Case(server, store, own=carrier.startswith("own")))
            assert slowest[0] <= DEADLINE * 1.1 + 0.25, f"an operation took {slowest[0]:.2f} s"
            return slowest[0]


def client_for(carrier: Carrier) -> Any:
    """Return what a carrier other than our own transport alone sends through."""
    if carrier == "httpx":
        return httpx.AsyncClient()
    return httpx2.AsyncClient() if carrier == "httpx2" else httpx.AsyncClient(transport=Transport())


def _time(store: BucketObjects) -> list[float]:
    """Measure each verb; what the slowest took beyond what its bytes and names may take is kept in what is returned."""
    slowest = [0.0]
    rate = store._asking.client.options.slowest

    def note(started: float, size: float) -> None:
        slowest[0] = max(slowest[0], time.monotonic() - started - size / rate)

    def timed(verb: Callable[..., Awaitable[Any]], size_of: Callable[..., int]) -> Callable[..., Awaitable[Any]]:
        async def measured(*arguments: Any, **more: Any) -> Any:
            started = time.monotonic()
            try:
                return await verb(*arguments, **more)
            finally:
                note(started, size_of(*arguments, **more))

        return measured

    def listing(told: Callable[..., AsyncIterator[ObjectInfo]]) -> Callable[..., AsyncIterator[ObjectInfo]]:
        async def measured(*arguments: Any) -> AsyncIterator[ObjectInfo]:
            started, count = time.monotonic(), 0
            try:
                async for info in told(*arguments):
                    yield info
                    count += 1
            finally:
                note(started, count * 4096)

        return measured

    sizes: dict[str, Callable[..., int]] = {
        "get": lambda _, length=0, **__: length or 0,
        "put": lambda _, body: memoryview(body).nbytes,
        "put_if": lambda _, body, **__: len(body),
        "delete": lambda names: len(list(names)) * 4096,
        "head": lambda _: 0,
        "copy": lambda *_: 0,
    }
    for name, size_of in sizes.items():
        setattr(store, name, timed(getattr(store, name), size_of))
    store.list = listing(store.list)  # type: ignore[method-assign] # measured where it is
    return slowest
