"""Who we are at Google: files, the machine's metadata server, emulators; tokens renewed in time, secrets kept."""

from __future__ import annotations

import base64
import json
import os
import pickle
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from packhouse.errors import InvalidInput, PackhouseError, StorageError
from packhouse.objects.gcs import GCSObjects, GCSOptions
from packhouse.objects.gcs.credentials import find_endpoint, find_token
from packhouse.objects.gcs.store import parse_url
from packhouse.objects.http import HttpOptions
from tests.hostile import google
from tests.hostile.server import Hostile, Talk, answer, hostile

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


@pytest.fixture(autouse=True)
def nothing_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "GOOGLE_CLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path / "gcloud"))
    monkeypatch.setenv("NO_GCE_CHECK", "true")


def _serve(talk: Talk) -> None:
    """A service that gives tokens, exchanges them, and keeps objects."""
    for request in talk.requests():
        fresh = {"access_token": google.TOKEN, "expires_in": 3600, "token_type": "Bearer"}
        if request.path in {"/token", "/sts"}:
            told = fresh | {"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"}
            talk.send(answer(200, json.dumps(told).encode(), content_type="application/json"))
        elif request.path.startswith("/computeMetadata") or request.path == "/":
            body = json.dumps(fresh if request.path.endswith("/token") else {"email": "me", "scopes": []}).encode()
            talk.send(answer(200, body, metadata_flavor="Google", content_type="application/json"))
        else:
            talk.send(talk.server.well(request))


@pytest.fixture
def service() -> Iterator[Hostile]:
    with hostile(_serve, dialect=google.well) as server:
        yield server


def service_account(server: Hostile, folder: Path) -> Path:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    text = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()
    told = {
        "type": "service_account", "client_email": "test@project.example", "private_key": text, "private_key_id": "1",
        "token_uri": f"{server.url}/token", "client_id": "2", "project_id": "project",
    }  # fmt: skip
    (folder / "account.json").write_text(json.dumps(told))
    return folder / "account.json"


def authorized_user(server: Hostile, folder: Path) -> Path:
    told = {"type": "authorized_user", "client_id": "1", "client_secret": "planted-secret", "refresh_token": "planted"}
    (folder / "user.json").write_text(json.dumps(told | {"token_uri": f"{server.url}/token"}))
    return folder / "user.json"


def workload_identity(server: Hostile, folder: Path) -> Path:
    (folder / "subject").write_text("planted-subject")
    told = {
        "type": "external_account", "audience": "//iam.googleapis.com/projects/1/x", "token_url": f"{server.url}/sts",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt", "credential_source": {
            "file": str(folder / "subject")},
    }  # fmt: skip
    (folder / "workload.json").write_text(json.dumps(told))
    return folder / "workload.json"


@pytest.mark.parametrize("make", [service_account, workload_identity])
@pytest.mark.parametrize("said", ["option", "environment"])
async def test_a_file_is_enough(  # noqa: PLR0917 - fixtures
    make: Any, said: str, service: Hostile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, anyio_backend: str
) -> None:
    file = str(make(service, tmp_path))
    if said == "environment":
        monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", file)
    options = GCSOptions(
        endpoint=service.url, credentials_file=file if said == "option" else None, http=HttpOptions(deadline=10)
    )
    async with GCSObjects("gs://bucket/p", options) as store:
        for number in range(3):
            await store.put(f"n{number}", b"body")
    assert sum(request.path in ("/token", "/sts") for request in service.requests) == 1, "one token serves many"


async def test_credentials_that_were_made_without_a_scope_get_ours(
    service: Hostile, tmp_path: Path, anyio_backend: str
) -> None:
    from google.oauth2 import service_account as accounts  # noqa: PLC0415 - beside its use

    untyped: Any = accounts.Credentials
    given = untyped.from_service_account_file(str(service_account(service, tmp_path)))
    async with GCSObjects("gs://bucket", GCSOptions(endpoint=service.url, credentials=given)) as store:
        await store.put("name", b"body")
    (asked,) = [request for request in service.requests if request.path == "/token"]
    claims = parse_qs(asked.body.decode())["assertion"][0].split(".")[1]
    told = json.loads(base64.urlsafe_b64decode(claims + "=" * (-len(claims) % 4)))
    assert told["scope"] == "https://www.googleapis.com/auth/devstorage.read_write"


async def test_a_users_own_login_is_found(service: Hostile, tmp_path: Path, anyio_backend: str) -> None:
    (tmp_path / "gcloud").mkdir()
    authorized_user(service, tmp_path).rename(tmp_path / "gcloud/application_default_credentials.json")
    from google.auth import default  # noqa: PLC0415 - beside its use

    untyped: Any = default
    found, _ = untyped()
    found._token_uri = f"{service.url}/token"  # a file's is not looked at: Google's own is meant
    async with GCSObjects("gs://bucket", GCSOptions(endpoint=service.url, credentials=found)) as store:
        await store.put("name", b"body")


def test_a_machines_metadata_server_is_asked(service: Hostile, tmp_path: Path, anyio_backend: str) -> None:
    host = service.url.partition("://")[2]
    script = """
import anyio, sys
from packhouse.objects.gcs import GCSObjects, GCSOptions
async def main():
    async with GCSObjects("gs://bucket", GCSOptions(endpoint=sys.argv[1])) as store:
        await store.put("name", b"body")
        print(bytes((await store.get("name")).data))
anyio.run(main)
"""
    surroundings = {name: value for name, value in os.environ.items() if name != "NO_GCE_CHECK"}
    surroundings |= {"GCE_METADATA_HOST": host, "GCE_METADATA_IP": host}
    done = subprocess.run(
        [sys.executable, "-c", script, service.url], env=surroundings, capture_output=True, timeout=60, check=False
    )
    assert done.stdout.strip() == b"b'body'", done.stderr.decode()[-2000:]


async def test_an_emulator_needs_nobody(gcs_emulator: str, monkeypatch: pytest.MonkeyPatch, anyio_backend: str) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs_emulator.partition("://")[2])  # as Google's own tools take it
    async with GCSObjects("gs://packhouse/emulated") as store:
        await store.put("name", b"body")
        assert bytes((await store.get("name")).data) == b"body"
    assert find_endpoint(GCSOptions(endpoint="https://given.example")) == ("https://given.example", False)


async def test_nobody_at_all_is_said_so(anyio_backend: str) -> None:
    with pytest.raises(StorageError, match="application-default") as caught:
        await find_token(GCSOptions())
    assert caught.value.kind == "bad-credentials"
    anonymous = await find_token(GCSOptions(anonymous=True))
    assert await anonymous() is None


async def test_a_token_that_is_refused_says_what_to_do(service: Hostile, anyio_backend: str) -> None:
    from google.oauth2.credentials import Credentials  # noqa: PLC0415 - beside its use

    untyped: Any = Credentials
    options = GCSOptions(endpoint=service.url, credentials=untyped("planted-wrong"), http=HttpOptions(tries=2))
    async with GCSObjects("gs://bucket", options) as store:
        with pytest.raises(PackhouseError) as caught:
            await store.get("name")
    assert caught.value.kind == "bad-credentials"
    assert "planted" not in "".join([*traceback.format_exception(caught.value), repr(options), str(store.requests)])


async def test_who_gives_tokens_may_fail_and_its_text_is_kept(tmp_path: Path, anyio_backend: str) -> None:
    def refuse(talk: Talk) -> None:
        for _ in talk.requests():
            talk.send(answer(401, b'{"error": "invalid_grant", "error_description": "planted-text"}'))

    with hostile(refuse) as server:
        file = str(service_account(server, tmp_path))
        async with GCSObjects("gs://bucket", GCSOptions(endpoint=server.url, credentials_file=file)) as store:
            started = time.monotonic()
            with pytest.raises(PackhouseError) as caught:
                await store.get("name")
    assert caught.value.kind == "bad-credentials"
    assert "planted" not in "".join(traceback.format_exception(caught.value))
    assert time.monotonic() - started < 20


def test_options_and_urls(anyio_backend: str) -> None:
    key = b"k" * 32
    options = GCSOptions(customer_key=key, credentials_file="/somewhere", http=HttpOptions(deadline=5))
    assert key not in pickle.dumps(options)
    assert pickle.loads(pickle.dumps(options)).credentials_file == "/somewhere"
    for bad in ({"part_size": 100_000}, {"customer_key": b"short"}, {"endpoint": "https://u:p@host"}):
        with pytest.raises(InvalidInput):
            GCSOptions(**bad)
    assert parse_url("gs://my-bucket/a/b/") == ("my-bucket", "a/b/")
    for url in ("gs://", "gs://ab", "gs://Upper", "gs://u:p@bucket", "gs://bucket/?x=1", "gs://bucket/a//b", "s3://b"):
        with pytest.raises(InvalidInput):
            parse_url(url)
