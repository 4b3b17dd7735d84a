"""Runs one behaviour against one transport, and holds the clock to the deadline."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any, Literal, Self, TypeAlias

import httpx
import httpx2

from packhouse.objects.http import Call, HttpOptions, Transport
from packhouse.objects.s3 import S3Objects, S3Options
from tests.hostile.behaviours import Behaviour, Case
from tests.hostile.server import Hostile, hostile

__all__ = ["CARRIERS", "Carrier", "drive", "options_for"]

Carrier: TypeAlias = Literal["own", "httpx", "httpx2", "own behind httpx"]
CARRIERS: tuple[Carrier, ...] = ("own", "httpx", "httpx2", "own behind httpx")
DEADLINE = 2.0
SECRETS = {
    "access_key_id": "AKIAPLANTEDACCESSKEY",
    "secret_access_key": "planted/secret+key",
    "session_token": "planted-token",
}


def options_for(server: Hostile, **more: Any) -> S3Options:
    """Little patience, so that everything ends soon."""
    http = HttpOptions(deadline=DEADLINE, answer=0.7, slowest=8 << 20, tries=3, plain_http=True)
    return S3Options(endpoint=server.url, region="us-east-1", **{**SECRETS, "http": http, **more})


async def drive(behaviour: Behaviour, carrier: Carrier) -> float:
    """Run it; return the seconds of its slowest operation.

    Raises:
        AssertionError: a promise was broken.
    """
    with hostile(behaviour.serve) as server:
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(_client(carrier)) if carrier != "own" else None
            store = await stack.enter_async_context(_Timed("s3://bucket", options_for(server), client=client))
            await behaviour.check(Case(server, store, own=carrier.startswith("own")))
            assert store.slowest <= DEADLINE * 1.1 + 0.25, f"an operation took {store.slowest:.2f} s"
            return store.slowest


def _client(carrier: Carrier) -> Any:
    if carrier == "httpx":
        return httpx.AsyncClient()
    return httpx2.AsyncClient() if carrier == "httpx2" else httpx.AsyncClient(transport=Transport())


class _Timed(S3Objects):
    """Measures each request with all its tries."""

    slowest = 0.0

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        client = self.requests.client
        fetch = client.fetch

        async def timed(call: Call, *arguments: Any) -> Any:
            started = time.monotonic()
            allowed = (call.size + sum(len(buffer) for buffer in call.body)) / self.options.http.slowest
            try:
                return await fetch(call, *arguments)
            finally:
                self.slowest = max(self.slowest, time.monotonic() - started - allowed)

        client.fetch = timed  # type: ignore[method-assign, assignment]
        return self
