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
from tests.servers.fixtures import reach

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
    root, environment = reach(kind, request)
    chosen = {"s3": "s3_options", "ceph": "ceph", "gs": "gcs_options", "az": "azure_options"}
    options = request.getfixturevalue(chosen[kind])
    return Service(root, options, environment)


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
