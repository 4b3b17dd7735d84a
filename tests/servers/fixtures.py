"""Real servers for the tests, one of each per worker; a server that cannot be had is one visible skip.

A plugin of all tests (`tests/conftest.py`): a fixture that is imported where it is used would be another one, with a
server of its own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from typing import TypeVar

import anyio
import pytest

from packhouse.objects.azure import AzureOptions
from packhouse.objects.gcs import GCSOptions
from packhouse.objects.http import HttpOptions
from packhouse.objects.probing import try_conditions
from packhouse.objects.s3 import S3Objects, S3Options
from tests.servers.azurite import Container, azurite
from tests.servers.fake_gcs import fake_gcs
from tests.servers.radosgw import radosgw
from tests.servers.running import NO_SERVER, ServerMissing
from tests.servers.seaweedfs import Bucket, seaweedfs

T = TypeVar("T")
PATIENCE = HttpOptions(deadline=30, answer=10)


def serving(server: AbstractContextManager[T]) -> Iterator[T]:
    """Run a server as long as a fixture lives; where `CI` is set it must be there."""
    try:
        with server as started:
            yield started
    except ServerMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{NO_SERVER}{missing}")


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """A bucket of SeaweedFS."""
    yield from serving(seaweedfs())


@pytest.fixture(scope="session")
def ceph_gateway() -> Iterator[Bucket]:
    """A bucket of Ceph."""
    yield from serving(radosgw())


@pytest.fixture(scope="session")
def gcs_emulator() -> Iterator[str]:
    """The URL of fake-gcs-server."""
    yield from serving(fake_gcs())


@pytest.fixture(scope="session")
def azure_emulator() -> Iterator[Container]:
    """A container of Azurite."""
    yield from serving(azurite())


def reach(kind: str, request: pytest.FixtureRequest) -> tuple[str, dict[str, str]]:
    """Return the bucket of `s3`, `ceph`, `gs` or `az`, and the variables that another process needs besides its URL."""
    if kind == "gs":
        return "gs://packhouse", {"STORAGE_EMULATOR_HOST": request.getfixturevalue("gcs_emulator")}
    if kind == "az":
        there: Container = request.getfixturevalue("azure_emulator")
        environment = {"AZURE_STORAGE_CONNECTION_STRING": there.connection_string}
        return f"az://{there.account}/{there.container}", environment
    bucket: Bucket = request.getfixturevalue("ceph_gateway" if kind == "ceph" else "bucket")
    keys = {"AWS_ACCESS_KEY_ID": bucket.access, "AWS_SECRET_ACCESS_KEY": bucket.secret}
    return f"s3://{bucket.bucket}", {"AWS_ENDPOINT_URL": bucket.endpoint, "AWS_REGION": "us-east-1", **keys}


@pytest.fixture
def s3_options(bucket: Bucket) -> S3Options:
    """How to reach it."""
    return S3Options(
        endpoint=bucket.endpoint,
        region="us-east-1",
        access_key_id=bucket.access,
        secret_access_key=bucket.secret,
        http=PATIENCE,
    )


@pytest.fixture(scope="session")
def ceph(ceph_gateway: Bucket) -> S3Options:
    """How to reach it: 16 compares versions without quotes, and it verifies MD5 alone."""
    options = S3Options(
        endpoint=ceph_gateway.endpoint,
        region="us-east-1",
        access_key_id=ceph_gateway.access,
        secret_access_key=ceph_gateway.secret,
        checksum="md5",
        http=HttpOptions(deadline=60, answer=20),
    )

    async def quotes() -> bool:
        async with S3Objects(f"s3://{ceph_gateway.bucket}/probed", options) as store:
            await try_conditions(store, "name")
            return store.quoted

    return replace(options, quoted_etags=anyio.run(quotes))


@pytest.fixture
def gcs_options(gcs_emulator: str) -> GCSOptions:
    """How to reach it."""
    return GCSOptions(endpoint=gcs_emulator, anonymous=True, http=PATIENCE)


@pytest.fixture
def azure_options(azure_emulator: Container) -> AzureOptions:
    """How to reach it."""
    return AzureOptions(endpoint=azure_emulator.endpoint, account_key=azure_emulator.key, http=PATIENCE)
