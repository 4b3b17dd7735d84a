"""Who we are at AWS and where the service is: options, then the environment, then files."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from packhouse.errors import InvalidInput, StorageError
from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Options
from packhouse.objects.s3.credentials import find_identity
from packhouse.objects.s3.location import Place, S3Location

CONFIG = """
[default]
region = r-default
endpoint_url = https://default.example
ca_bundle = /default.pem
[profile p]
region = r-p
endpoint_url = https://p.example
ca_bundle = /p.pem
"""
KEYS: dict[str, Any] = {"access_key_id": "AKID", "secret_access_key": "s"}


@pytest.fixture(autouse=True)
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine on which nothing is set, and whose files are here."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path


async def test_credentials_and_endpoint_are_found_as_the_aws_tools_find_them(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (files / "credentials").write_text("[p]\naws_access_key_id = filed\naws_secret_access_key = s\n")
    (files / "config").write_text("[profile p]\nregion = eu-central-1\nendpoint_url = https://filed.example\n")

    with pytest.raises(StorageError, match="no credentials") as caught:
        await find_identity(S3Options())
    assert caught.value.kind == "bad-credentials"
    filed = await find_identity(S3Options(profile="p"))
    assert (filed.region, filed.endpoint) == ("eu-central-1", "https://filed.example")
    assert (await filed.credentials()).access_key_id == "filed"
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://environment.example/")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    found = await find_identity(S3Options(profile="p"))
    assert (found.region, found.endpoint) == ("us-west-2", "https://environment.example")
    given = S3Options(profile="p", endpoint="https://given.example", region="r", anonymous=True)
    explicit = await find_identity(given)
    assert (explicit.region, explicit.endpoint) == ("r", "https://given.example")
    assert await explicit.credentials() is None


@pytest.mark.parametrize(
    ("chosen", "environment", "expected"),
    [
        ({}, {}, ("r-default", "https://default.example", "/default.pem")),
        ({"region": "r"}, {}, ("r", "https://default.example", "/default.pem")),
        ({"profile": "p"}, {}, ("r-p", "https://p.example", "/p.pem")),
        ({"profile": "p", "region": "r"}, {}, ("r", "https://p.example", "/p.pem")),
        ({"region": "r"}, {"AWS_PROFILE": "p"}, ("r", "https://p.example", "/p.pem")),
        ({}, {"AWS_REGION": "r-e", "AWS_CA_BUNDLE": "/e.pem"}, ("r-e", "https://default.example", "/e.pem")),
        ({}, {"AWS_DEFAULT_REGION": "r-e"}, ("r-e", "https://default.example", "/default.pem")),
        ({}, {"AWS_ENDPOINT_URL": "https://e.example"}, ("r-default", "https://e.example", "/default.pem")),
        (
            {},
            {"AWS_ENDPOINT_URL": "https://e.example", "AWS_ENDPOINT_URL_S3": "https://s3.example/"},
            ("r-default", "https://s3.example", "/default.pem"),
        ),
        (
            {},
            {"AWS_ENDPOINT_URL": "https://e.example", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
            ("r-default", None, "/default.pem"),
        ),
        (
            {"endpoint": "https://o.example", "region": "r", "http": HttpOptions(ca="/o.pem")},
            {"AWS_ENDPOINT_URL": "https://e.example", "AWS_REGION": "r-e", "AWS_CA_BUNDLE": "/e.pem"},
            ("r", "https://o.example", "/o.pem"),
        ),
    ],
    ids=str,
)
async def test_what_is_not_given_is_found_although_keys_are_given(
    chosen: dict[str, Any],
    environment: dict[str, str],
    expected: tuple[str, str | None, str],
    files: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (files / "config").write_text(CONFIG)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    keyed = await find_identity(S3Options(access_key_id="AKID", secret_access_key="s", **chosen))
    assert (keyed.region, keyed.endpoint, keyed.ca) == expected
    assert (await keyed.credentials()).access_key_id == "AKID"
    anonymous = await find_identity(S3Options(anonymous=True, **chosen))
    assert (anonymous.region, anonymous.endpoint, anonymous.ca) == expected
    assert await anonymous.credentials() is None


async def test_a_profile_that_cannot_be_read_is_not_passed_over(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match="profile"):
        await find_identity(S3Options(profile="missing", region="r", **KEYS))
    (files / "config").write_text(CONFIG)
    monkeypatch.setitem(sys.modules, "botocore.session", None)  # as where the extra is not installed
    with pytest.raises(InvalidInput, match=r"packhouse\[s3\]"):
        await find_identity(S3Options(profile="p", region="r", **KEYS))
    assert (await find_identity(S3Options(region="r", **KEYS))).endpoint is None


@pytest.mark.parametrize(
    ("bucket", "endpoint", "path_style", "url"),
    [
        ("some-bucket", None, None, "https://some-bucket.s3.eu-west-1.amazonaws.com/p/name"),
        ("some-bucket", None, True, "https://s3.eu-west-1.amazonaws.com/some-bucket/p/name"),
        ("some.bucket", None, None, "https://s3.eu-west-1.amazonaws.com/some.bucket/p/name"),
        ("some-bucket", "https://ceph.example:7480", None, "https://ceph.example:7480/some-bucket/p/name"),
        ("some-bucket", "https://ceph.example:7480", True, "https://ceph.example:7480/some-bucket/p/name"),
        ("some-bucket", "https://ceph.example:7480", False, "https://some-bucket.ceph.example:7480/p/name"),
    ],
)
def test_the_bucket_is_in_the_host_or_in_the_path(
    bucket: str, endpoint: str | None, path_style: bool | None, url: str
) -> None:
    place = Place.find(S3Location(bucket, "p/"), endpoint, "eu-west-1", path_style=path_style)
    assert place.url("name") == url
    assert place.host == url.split("/")[2]
