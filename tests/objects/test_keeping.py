"""How objects are kept is said with every write to Google and Azure, and the caller's own key with every read."""

from __future__ import annotations

import base64
import gc
import secrets
from typing import Any
from urllib.parse import parse_qs

import orjson
import pytest

from packhouse.objects.azure import AzureObjects
from packhouse.objects.gcs import GCSObjects
from packhouse.objects.http import transport
from tests.hostile import google, microsoft
from tests.hostile.driving import azure_options_for, gcs_options_for
from tests.hostile.server import Talk, hostile

pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])
KEY = secrets.token_bytes(32)


def serve(talk: Talk) -> None:
    for request in talk.requests():
        talk.send(talk.server.well(request))


async def use(store: Any) -> None:
    async with store:
        await store.put("small", b"x")
        await store.put("large", bytes((8 << 20) + 1))
        await store.get("small", start=0, length=1)
        await store.head("small")


async def test_google_is_told(anyio_backend: str) -> None:
    with hostile(serve, dialect=google.well) as server:
        options = gcs_options_for(server, customer_key=KEY, storage_class="NEARLINE", user_project="payer")
        await use(GCSObjects("gs://bucket", options))
        for request in server.requests:
            assert request.headers["x-goog-user-project"] == "payer"
            assert request.headers["x-goog-encryption-key"] == base64.b64encode(KEY).decode(), request.path
        described = [request.body.partition(b"\r\n\r\n")[2].partition(b"\r\n--")[0] for request in server.requests[:1]]
        assert orjson.loads(described[0])["storageClass"] == "NEARLINE"
        assert server.told["storageClass"] == "NEARLINE"
        assert server.told["cacheControl"] == "no-store, no-transform"
    with hostile(serve, dialect=google.well) as server:
        await use(GCSObjects("gs://bucket", gcs_options_for(server, kms_key="projects/p/key")))
        begun = [request for request in server.requests if "uploadType" in request.query and request.method == "POST"]
        assert [request.query["kmsKeyName"] for request in begun] == [["projects/p/key"]] * 2


async def test_azure_is_told(anyio_backend: str) -> None:
    with hostile(serve, dialect=microsoft.well) as server:
        options = azure_options_for(server, customer_key=KEY, access_tier="Cool")
        await use(AzureObjects("az://account/bucket", options))
        for request in server.requests:
            assert request.headers["x-ms-encryption-key"] == base64.b64encode(KEY).decode(), request.path
            assert request.headers["x-ms-version"] == "2023-11-03"
            makes = request.method == "PUT" and request.query.get("comp") != ["block"]
            assert ("x-ms-access-tier" in request.headers) == makes
    with hostile(serve, dialect=microsoft.well) as server:
        await use(AzureObjects("az://account/bucket", azure_options_for(server, encryption_scope="scope")))
        for request in server.requests:
            assert ("x-ms-encryption-scope" in request.headers) == (request.method == "PUT")


async def test_a_signature_stands_in_every_url_and_in_no_header(anyio_backend: str) -> None:
    sas = "sv=2023-11-03&sig=planted%2Fsignature"
    with hostile(serve, dialect=microsoft.well) as server:
        options = azure_options_for(server, account_key=None, sas_token=sas)
        await use(AzureObjects("az://account/bucket", options))
        for request in server.requests:
            assert request.query["sig"] == parse_qs(sas)["sig"]
            assert "authorization" not in request.headers
    caches = [value for value in vars(transport).values() if hasattr(value, "cache_info")]
    assert "bucket" in repr(gc.get_referents(*caches)), "this would see what is kept"
    assert "planted" not in repr(gc.get_referents(*caches)), "a URL is kept with its signature"
