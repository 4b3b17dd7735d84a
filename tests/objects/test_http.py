"""TLS, signatures, credentials, certificates, threads: what S3 rests on, by itself."""

from __future__ import annotations

import copy
import pickle
import secrets
import ssl
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
import trustme
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

import packhouse
from packhouse.errors import InvalidInput, StorageError
from packhouse.objects.bucket.location import make_query
from packhouse.objects.bucket.renewing import Renewing
from packhouse.objects.http import HttpOptions
from packhouse.objects.http.gate import Gate
from packhouse.objects.s3 import S3Objects, S3Options
from packhouse.objects.s3.credentials import Botocores
from packhouse.objects.s3.location import Place, S3Location, parse_url
from packhouse.objects.s3.signing import Credentials, sign_headers
from tests.hostile.driving import options_for
from tests.hostile.server import Hostile, Talk, hostile


def well(talk: Talk) -> None:
    for request in talk.requests():
        talk.send(talk.server.well(request))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def tls_of(authority: trustme.CA, host: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(host).configure_cert(context)
    return context


def trusting(server: Hostile, authority: trustme.CA, folder: Path) -> S3Options:
    authority.cert_pem.write_to_path(str(folder / "ca.pem"))
    options = options_for(server)
    return replace(options, http=replace(options.http, ca=str(folder / "ca.pem"), deadline=20, answer=10))


async def test_large_bodies_cross_tls(authority: trustme.CA, tmp_path: Path) -> None:
    body = secrets.token_bytes(7 << 20)
    with hostile(well, tls_of(authority, "127.0.0.1")) as server:
        async with S3Objects("s3://bucket", trusting(server, authority, tmp_path)) as store:
            async with anyio.create_task_group() as tasks:
                for number in range(4):
                    tasks.start_soon(store.put, f"n{number}", body)
            for number in range(4):
                assert (await store.get(f"n{number}")).data == body
                assert (await store.get(f"n{number}", start=5, length=3 << 20)).data == body[5 : 5 + (3 << 20)]
            assert server.connections <= 4, "connections are used again"


@pytest.mark.parametrize("host", ["127.0.0.1", "another.example"])
async def test_a_stranger_is_not_talked_to(authority: trustme.CA, tmp_path: Path, host: str) -> None:
    with hostile(well, tls_of(authority, host)) as server:
        options = trusting(server, authority, tmp_path) if host != "127.0.0.1" else options_for(server)
        async with S3Objects("s3://bucket", options) as store:
            with pytest.raises(StorageError, match="certificate") as caught:
                await store.put("name", b"secret")
    assert caught.value.kind == "certificate"
    assert server.requests == [], "nothing was sent"


async def test_plain_http_stays_on_this_machine() -> None:
    options = S3Options(endpoint="http://example.com", region="us-east-1", anonymous=True)
    async with S3Objects("s3://bucket", options) as store:
        with pytest.raises(InvalidInput, match="not encrypted"):
            await store.get("name")


async def test_a_name_below_localhost_is_this_machine() -> None:
    with hostile(well) as server:
        here = options_for(server)
        options = replace(here, endpoint=f"http://some.localhost:{server.port}", http=HttpOptions(tries=1, deadline=5))
        async with S3Objects("s3://bucket", options) as store:
            await store.put("name", b"body")
        async with S3Objects("s3://bucket", replace(options, path_style=False)) as store:
            await store.put("name", b"body")
        asked = [(request.headers["host"], request.path) for request in server.requests]
        own = f"some.localhost:{server.port}"
        assert asked == [(own, "/bucket/name"), (f"bucket.{own}", "/name")]
        async with httpx.AsyncClient() as client, S3Objects("s3://bucket", options, client=client) as store:
            with pytest.raises(InvalidInput, match="not encrypted"):  # it asks the network where that is
                await store.get("name")
        assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("method", "name", "query", "headers"),
    [
        ("GET", "plain", {}, {}),
        ("PUT", "dir/x=~0!/a b", {}, {"x-amz-meta-packhouse-write": "  two   spaces ", "content-md5": "abc="}),
        ("POST", "é/日本", {"uploads": ""}, {"x-amz-server-side-encryption": "AES256"}),
        ("GET", None, {"list-type": "2", "prefix": "a/é +&=", "continuation-token": "a+/=="}, {}),
        ("GET", "range", {}, {"range": "bytes=0-9", "if-none-match": "*"}),
    ],
)
@pytest.mark.parametrize("token", [None, "session/token+="])
def test_our_signature_is_botocores(
    method: str, name: str | None, query: dict[str, str], headers: dict[str, str], token: str | None
) -> None:
    place = Place("https://host.example:8443", "/bucket", "bucket", "prefix é/")
    url = place.url(name, query)
    sent = {"host": place.host, "x-amz-content-sha256": "UNSIGNED-PAYLOAD", **headers}
    now = 1_800_000_000.0
    ours = sign_headers(Credentials("AKID", "secret", token), "eu-west-1", method, url, sent, now=now)

    theirs = AWSRequest(method=method, url=url, headers=dict(sent))
    signer = S3SigV4Auth(BotocoreCredentials("AKID", "secret", token), "s3", "eu-west-1")
    theirs.context["timestamp"] = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
    theirs.context["client_config"] = None
    theirs.context["payload_signing_enabled"] = False
    theirs.headers["X-Amz-Date"] = theirs.context["timestamp"]
    if token:
        theirs.headers["X-Amz-Security-Token"] = token
    canonical = signer.canonical_request(theirs)
    signature = signer.signature(signer.string_to_sign(theirs, canonical), theirs)
    assert ours["authorization"].endswith(f"Signature={signature}"), canonical


def test_bucket_urls_and_addresses() -> None:
    assert parse_url("s3://bucket/a/b/") == S3Location("bucket", "a/b/")
    assert parse_url("s3://bucket") == S3Location("bucket", "")
    for bad in (
        "s3://",
        "s3://b",
        "s3://user:pass@bucket",
        "s3://bucket/a//b",
        "s3://bucket/../x",
        "s3://bucket/?x=1",
        "gs://b",
    ):
        with pytest.raises(InvalidInput):
            parse_url(bad)
    own = Place.find(S3Location("bucket", ""), "https://ceph.example:7480", "x", path_style=None)
    assert own.url(None, {"b": "1", "a": " "}) == "https://ceph.example:7480/bucket/?a=%20&b=1"
    assert make_query({"a": "/é"}) == "a=%2F%C3%A9"


class _Ending:
    """Credentials that must be renewed, slowly, in a thread."""

    def __init__(self) -> None:
        self.reads = 0
        self.left = 0.0

    def refresh_needed(self, refresh_in: float) -> bool:
        return self.left < refresh_in

    def get_frozen_credentials(self) -> Any:
        self.reads += 1
        time.sleep(0.05)
        self.left = 3600

        class Frozen:
            access_key, secret_key, token = f"key{self.reads}", "secret", None

        return Frozen


async def test_one_task_renews_and_the_others_go_on() -> None:
    source = _Ending()
    renewing = Renewing(Botocores(source))
    seen: list[str] = []

    async def use() -> None:
        seen.append((await renewing.current()).access_key_id)

    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(use)
    assert (source.reads, set(seen)) == (1, {"key1"})
    source.left, started = 600, time.monotonic()  # ends in ten minutes: time to renew, time to go on
    seen.clear()
    async with anyio.create_task_group() as tasks:
        for _ in range(50):
            tasks.start_soon(use)
    assert source.reads == 2
    assert sorted(set(seen)) == ["key1", "key2"]
    assert time.monotonic() - started < 1


def test_options_pickle_without_their_secrets() -> None:
    options = S3Options(access_key_id="AKID", secret_access_key="hidden", region="r", http=HttpOptions(deadline=5))
    data = pickle.dumps(options)
    assert b"hidden" not in data
    assert b"AKID" not in data
    restored: S3Options = pickle.loads(data)
    assert (restored.region, restored.http.deadline, restored.secret_access_key) == ("r", 5, None)


@pytest.mark.parametrize(
    ("proxy", "kept"),
    [
        ("http://user:hidden@proxy.example:3128", "http://proxy.example:3128"),
        ("socks5://hidden@[::1]:1080/", "socks5://[::1]:1080"),
        ("http://proxy.example:3128", "http://proxy.example:3128"),
        ("http://proxy.example/?token=hidden@x", None),
        ("http://user:hidden/x@proxy.example", None),
        (None, None),
    ],
)
def test_a_pickle_keeps_a_proxy_without_its_password(proxy: str | None, kept: str | None) -> None:
    options = HttpOptions(proxy=proxy)
    for whole in (options, S3Options(http=options), packhouse.open("s3://bucket", options=S3Options(http=options))):
        assert b"hidden" not in pickle.dumps(whole)
    assert pickle.loads(pickle.dumps(options)).proxy == kept
    assert copy.deepcopy(options).proxy == proxy


async def test_as_much_is_in_flight_as_the_gate_lets_through() -> None:
    gate = Gate(4)
    inside = most = 0

    async def pass_through() -> None:
        nonlocal inside, most
        async with gate.slot():
            inside += 1
            most = max(most, inside)
            await anyio.sleep(0.001)
            inside -= 1

    async with anyio.create_task_group() as tasks:
        for number in range(40):
            tasks.start_soon(pass_through)
            if number % 7 == 0:  # some are cancelled while they wait or work
                with anyio.CancelScope() as scope:
                    scope.cancel()
                    await pass_through()
    assert most == 4
    gate.throttled()
    assert gate.allowed == 2


async def test_requests_that_are_cancelled_cost_no_slots() -> None:
    with hostile(well) as server:
        options = options_for(server)
        async with S3Objects("s3://bucket", replace(options, http=replace(options.http, concurrency=4))) as store:
            await store.put("name", b"body")

            async def read(after: float) -> None:
                with anyio.move_on_after(after):
                    await store.get("name")

            for turn in range(8):
                async with anyio.create_task_group() as tasks:
                    for number in range(40):
                        tasks.start_soon(read, 0.0002 * ((number * 7 + turn) % 40))
            with anyio.fail_after(2):
                for _ in range(8):
                    assert bytes((await store.get("name")).data) == b"body"
            assert server.connections < 400
