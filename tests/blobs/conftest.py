"""A store in a bucket for each test, and a count of what it asks for."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple, TypeAlias

import pytest

import packhouse
from packhouse.objects import open_objects
from packhouse.objects.bucket import BucketObjects, BucketOptions
from packhouse.objects.s3.requests import Requests
from tests.servers.azurite import Container
from tests.servers.seaweedfs import Bucket

__all__ = ["Counting", "Service", "objects_of", "services"]

Counting: TypeAlias = Callable[[], AbstractContextManager[Counter[str]]]


services = pytest.mark.parametrize("service", ["s3", "gs", "az"], indirect=True)
"""Runs a test on each service; without it, on S3 alone."""


class Service(NamedTuple):
    """Where a bucket is."""

    root: str
    """Its URL."""
    options: BucketOptions
    environment: dict[str, str]
    """What another process needs to reach it by its URL alone."""


@pytest.fixture
def service(request: pytest.FixtureRequest) -> Service:
    """A bucket of the service that the test asks for."""
    kind = getattr(request, "param", "s3")
    if kind == "gs":
        where: str = request.getfixturevalue("gcs_emulator")
        return Service("gs://packhouse", request.getfixturevalue("gcs_options"), {"STORAGE_EMULATOR_HOST": where})
    if kind == "az":
        there: Container = request.getfixturevalue("azure_emulator")
        environment = {"AZURE_STORAGE_CONNECTION_STRING": there.connection_string}
        root = f"az://{there.account}/{there.container}"
        return Service(root, request.getfixturevalue("azure_options"), environment)
    bucket: Bucket = request.getfixturevalue("bucket")
    keys = {"AWS_ACCESS_KEY_ID": bucket.access, "AWS_SECRET_ACCESS_KEY": bucket.secret}
    environment = {"AWS_ENDPOINT_URL": bucket.endpoint, "AWS_REGION": "us-east-1", **keys}
    return Service("s3://packhouse", request.getfixturevalue("s3_options"), environment)


@pytest.fixture
def url(service: Service) -> str:
    """A prefix of its own."""
    return f"{service.root}/{secrets.token_hex(6)}"


@pytest.fixture
def options(service: Service) -> packhouse.StoreOptions:
    return packhouse.StoreOptions(bucket=service.options)


def objects_of(url: str, options: packhouse.StoreOptions) -> BucketObjects:
    """Return the objects that a store is made of."""
    found = open_objects(url, options=options.bucket)
    assert isinstance(found, BucketObjects)
    return found


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> Counting:
    """Count the requests of a block, by verb; a list is `LIST`."""
    seen: list[str] = []
    told: list[str] = []
    ask = Requests.ask

    async def counted(self: Requests, method: str, what: str, name: str | None = None, **more: Any) -> Any:
        seen.append("LIST" if "list-type" in (more.get("query") or {}) else method)
        told.append(f"{seen[-1]} {what}")
        return await ask(self, method, what, name, **more)

    monkeypatch.setattr(Requests, "ask", counted)

    @contextmanager
    def block() -> Iterator[Counter[str]]:
        counts: Counter[str] = Counter()
        seen.clear()
        told.clear()
        yield counts
        counts.update(seen)
        print(dict(counts), *told, sep="\n  ")  # shown when the test fails

    return block
