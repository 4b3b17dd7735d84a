"""Real servers for the tests, one of each per worker; a server that cannot be had is one visible skip."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Options
from tests.servers.running import NO_SERVER, ServerMissing
from tests.servers.seaweedfs import Bucket, seaweedfs


@pytest.fixture(scope="session")
def bucket() -> Iterator[Bucket]:
    """A bucket of SeaweedFS."""
    try:
        with seaweedfs() as started:
            yield started
    except ServerMissing as missing:
        if os.environ.get("CI"):
            raise
        pytest.skip(f"{NO_SERVER}{missing}")


@pytest.fixture
def s3_options(bucket: Bucket) -> S3Options:
    """How to reach it."""
    return S3Options(
        endpoint=bucket.endpoint,
        region="us-east-1",
        access_key_id=bucket.access,
        secret_access_key=bucket.secret,
        http=HttpOptions(deadline=30, answer=10),
    )
