"""A service that asks for less load: a name waits for it, and what was refused is known not to have happened."""

from __future__ import annotations

import time

import pytest

import packhouse
from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Options
from tests.hostile.server import Behave, Hostile, Talk, answer, hostile


def throttling(status: int, document: bytes, seconds: float) -> Behave:
    """Refuse to write documents for so long; all else is done well."""
    began: list[float] = []

    def serve(talk: Talk) -> None:
        for request in talk.requests():
            if request.method == "PUT" and "/documents/" in request.path:
                began.append(time.monotonic())
                if began[-1] - began[0] < seconds:
                    talk.send(answer(status, document))
                    continue
            talk.send(talk.server.well(request))

    return serve


def patient(server: Hostile, deadline: float) -> S3Options:
    http = HttpOptions(deadline=deadline, answer=1, tries=2)
    return S3Options(endpoint=server.url, region="r", anonymous=True, http=http)


TOO_MANY = b"<Error><Code>TooManyRequests</Code></Error>"
SLOW_DOWN = b"<Error><Code>SlowDown</Code></Error>"


@pytest.mark.parametrize(("status", "document"), [(429, TOO_MANY), (429, b""), (503, SLOW_DOWN)])
async def test_a_name_is_put_once_the_service_takes_it_again(status: int, document: bytes) -> None:
    with hostile(throttling(status, document, 1.5)) as server:
        async with packhouse.open("s3://bucket/p", options=patient(server, 20)) as store:
            await store.names.put("name", 1)
            assert (await store.names.get("name")).doc == 1


@pytest.mark.parametrize(("status", "document"), [(429, TOO_MANY), (429, b""), (503, SLOW_DOWN)])
async def test_a_name_that_is_throttled_for_good_is_known_not_to_be_put(status: int, document: bytes) -> None:
    with hostile(throttling(status, document, 60)) as server:
        async with packhouse.open("s3://bucket/p", options=patient(server, 1)) as store:
            with pytest.raises(packhouse.StorageError) as caught:
                await store.names.put("name", 1)
            assert caught.value.kind == "throttled"
            with pytest.raises(packhouse.NameNotFound):
                await store.names.get("name")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (403, b"<Error><Code>AccessDenied</Code></Error>", "access-denied"),
        (418, b"", "refused"),
        (302, b"", "redirected"),
    ],
)
async def test_a_name_that_is_refused_is_known_not_to_be_put(
    status: int, document: bytes, kind: str, anyio_backend: str
) -> None:
    with hostile(throttling(status, document, 60)) as server:
        async with packhouse.open("s3://bucket/p", options=patient(server, 5)) as store:
            with pytest.raises(packhouse.StorageError) as caught:
                await store.names.put("name", 1)
    assert caught.value.kind == kind


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("status", [500, 502, 503])
async def test_a_name_that_somebody_failed_to_put_is_in_doubt(status: int, anyio_backend: str) -> None:
    with hostile(throttling(status, b"", 60)) as server:
        async with packhouse.open("s3://bucket/p", options=patient(server, 1)) as store:
            # A proxy says so, too, that has lost the service's answer.
            with pytest.raises(packhouse.CommitUncertain) as caught:
                await store.names.put("name", 1)
            assert (caught.value.kind, caught.value.batch_id) == ("name-uncertain", "")
