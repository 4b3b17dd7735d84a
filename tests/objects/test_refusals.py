"""Each cause has its own kind and a sentence that says what to do: in a store of blobs and in the shell."""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

import packhouse
from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Objects, S3Options
from tests.hostile.server import Behave, Talk, answer, hostile
from tests.objects.test_doctor import environment
from tests.objects.test_http import tls_of
from tests.servers.seaweedfs import Bucket

COMMAND = Path(sys.executable).parent / "packhouse"
pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def refusing(status: int, code: str, **headers: str) -> Behave:
    document = f"<Error><Code>{code}</Code><Region>eu-west-1</Region></Error>".encode()

    def serve(talk: Talk) -> None:
        for request in talk.requests():
            talk.send(answer(status, b"" if request.method == "HEAD" else document, **headers))

    return serve


def silent(talk: Talk) -> None:
    for _ in talk.requests():
        talk.stall()


def dropping(talk: Talk) -> None:
    for _ in talk.requests():
        talk.reset()
        return


REFUSALS: list[tuple[str, Behave, str]] = [
    ("access-denied", refusing(403, "AccessDenied"), "rights"),
    ("bad-credentials", refusing(403, "InvalidAccessKeyId"), "renew"),
    ("clock-skew", refusing(403, "RequestTimeTooSkewed"), "clock"),
    ("wrong-region", refusing(400, "AuthorizationHeaderMalformed"), "eu-west-1"),
    ("redirected", refusing(302, "Moved", location="http://127.0.0.2/"), "endpoint"),
    ("throttled", refusing(503, "SlowDown"), "try again later"),
    ("service-failed", refusing(500, "InternalError"), "try again later"),
    ("refused", refusing(418, "Teapot"), "Teapot"),
    ("no-bucket", refusing(404, "NoSuchBucket"), "create it"),
    ("deadline", silent, "try again"),
    ("connection-lost", dropping, "try again"),
]


def impatient(url: str, **more: Any) -> packhouse.StoreOptions:
    http = HttpOptions(deadline=1, answer=0.4, tries=2)
    chosen = {"access_key_id": "AKID", "secret_access_key": "planted-secret", "http": http}
    return packhouse.StoreOptions(bucket=S3Options(endpoint=url, region="us-east-1", **{**chosen, **more}))


def check(error: packhouse.PackhouseError, kind: str, says: str) -> None:
    assert error.kind == kind, f"{error.kind}: {error}"
    assert isinstance(error, packhouse.errors.KINDS[kind].error)
    assert says in str(error)
    assert "planted-secret" not in str(error)


@pytest.mark.parametrize(("kind", "behave", "says"), REFUSALS, ids=[kind for kind, _, _ in REFUSALS])
@pytest.mark.parametrize("mode", ["r", "a"])
async def test_opening_says_why_it_cannot(kind: str, behave: Behave, says: str, mode: Any, anyio_backend: str) -> None:
    with hostile(behave) as server:
        with pytest.raises(packhouse.PackhouseError) as caught:
            async with packhouse.open("s3://bucket/p", options=impatient(server.url), mode=mode):
                pass
        check(caught.value, kind, says)


@pytest.mark.parametrize(("kind", "behave", "says"), REFUSALS, ids=[kind for kind, _, _ in REFUSALS])
async def test_a_store_that_is_open_says_why_it_cannot(
    kind: str, behave: Behave, says: str, s3_options: S3Options, anyio_backend: str
) -> None:
    url = f"s3://packhouse/refused-{secrets.token_hex(4)}"
    options = packhouse.StoreOptions(bucket=s3_options)
    async with packhouse.open(url, options=options) as store:
        (saved,) = await store.save_blobs([b"kept"])
    refused = threading.Event()

    def serve(talk: Talk) -> None:
        if refused.is_set():
            behave(talk)
            return
        for request in talk.requests():  # like a good server with a store in it, until told otherwise
            if refused.is_set():
                talk.raw.close()
                return
            talk.send(answer(200, settings) if request.path.endswith("store.json") else answer(404))

    async with S3Objects(url, s3_options) as objects:
        settings = bytes((await objects.get("store.json")).data)
    with hostile(serve) as server:
        async with packhouse.open("s3://bucket/p", options=impatient(server.url)) as store:
            refused.set()
            for doing in (
                store.load(saved.key),
                store.load(saved),
                store.save_blobs([b"new"]),
                store.save_blobs([secrets.token_bytes(9 << 20)]),
                store.names.get("name"),
                store.names.put("name", 1),
                store.survey(),
            ):
                with pytest.raises(packhouse.PackhouseError) as caught:
                    await doing
                if isinstance(caught.value, packhouse.CommitUncertain):
                    assert kind in (
                        "deadline",
                        "connection-lost",
                        "throttled",
                        "service-failed",
                        "refused",
                        "redirected",
                    )
                    continue
                check(caught.value, kind, says)


async def test_a_commit_whose_first_try_was_lost_is_not_told_as_refused(
    s3_options: S3Options, anyio_backend: str
) -> None:
    """Credentials end between two tries of one write: the first may stand in the bucket."""
    url = f"s3://packhouse/lost-{secrets.token_hex(4)}"
    async with packhouse.open(url, options=packhouse.StoreOptions(bucket=s3_options)):
        pass
    async with S3Objects(url, s3_options) as objects:
        settings = bytes((await objects.get("store.json")).data)
    nothing = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
    lost = threading.Event()

    def serve(talk: Talk) -> None:
        for request in talk.requests():
            if "list-type" in request.query:
                talk.send(answer(200, nothing))
            elif request.method != "PUT":
                talk.send(answer(200, settings) if request.path.endswith("store.json") else answer(404))
            elif lost.is_set():
                talk.send(answer(403, b"<Error><Code>ExpiredToken</Code></Error>"))
            else:
                lost.set()
                talk.reset()
                return

    with hostile(serve) as server:
        async with packhouse.open("s3://bucket/p", options=impatient(server.url)) as store:
            with pytest.raises(packhouse.CommitUncertain):
                await store.save_blobs([b"new"])
    assert lost.is_set()


async def test_a_stranger_is_named_and_so_is_no_network(tmp_path: Path, anyio_backend: str) -> None:
    with hostile(refusing(200, ""), tls_of(trustme.CA(), "127.0.0.1")) as server:
        for url, kind, says in ((server.url, "certificate", "`ca`"), ("http://127.0.0.1:9", "no-network", "endpoint")):
            patient = HttpOptions(deadline=20, answer=10, tries=2)  # it ends by itself, however busy the machine is
            with pytest.raises(packhouse.PackhouseError) as caught:
                async with packhouse.open("s3://bucket/p", options=impatient(url, http=patient)):
                    pass
            check(caught.value, kind, says)


@pytest.mark.parametrize(
    ("url", "more", "kind"),
    [
        ("s3://packhouse", {"AWS_SECRET_ACCESS_KEY": "wrong"}, "bad-credentials"),
        ("s3://packhouse", {"AWS_ACCESS_KEY_ID": "poor", "AWS_SECRET_ACCESS_KEY": "poor-secret"}, "access-denied"),
        ("s3://missing", {}, "no-bucket"),
        ("s3://packhouse", {"AWS_ENDPOINT_URL": "http://127.0.0.1:9"}, "no-network"),
    ],
)
def test_the_command_says_it_too(url: str, more: dict[str, str], kind: str, bucket: Bucket, anyio_backend: str) -> None:
    commands = [("init", f"{url}/p"), ("ls", "-s", f"{url}/p")]
    for command in commands[: 1 if kind == "access-denied" else 2]:  # that one may read
        done = subprocess.run(
            [COMMAND, *command, "--json"], env=environment(bucket, **more), capture_output=True, timeout=60, check=False
        )
        assert done.returncode == (3 if kind == "no-bucket" else 1)
        assert json.loads(done.stderr)["error"]["kind"] == kind, done.stderr


async def test_rights_to_read_are_enough_for_reading(s3_options: S3Options, anyio_backend: str) -> None:
    url = f"s3://packhouse/read-{secrets.token_hex(4)}"
    large = secrets.token_bytes(9 << 20)
    async with packhouse.open(url, options=s3_options) as store:
        saved = await store.save_blobs([b"small", large])
        await store.names.put("name", 1, refs=[saved[0].key])
    reader = replace(s3_options, access_key_id="reader", secret_access_key="reader-secret")
    async with packhouse.open(url, options=reader, mode="r") as store:
        assert await store.load(saved[0]) == b"small"
        assert await store.load(saved[1].key) == large
        assert (await store.names.get("name")).doc == 1
        assert [name async for name in store.names.list()] == ["name"]
        everything = store.keys()
        assert {blob.key async for blob in everything} == {blob.key for blob in saved}
        assert (await store.survey()).blobs == 2
        assert (await store.verify()).findings == ()
    async with packhouse.open(url, options=reader) as store:  # opening writes nothing
        with pytest.raises(packhouse.StorageError) as caught:
            await store.save_blobs([b"new"])
        assert caught.value.kind == "access-denied"


async def test_a_public_store_is_read_by_nobody_in_particular(s3_options: S3Options, anyio_backend: str) -> None:
    name = secrets.token_hex(4)
    saved = {}
    for folder in ("public", "private"):
        async with packhouse.open(f"s3://packhouse/{folder}/{name}", options=s3_options) as store:
            (saved[folder],) = await store.save_blobs([b"small"])
    nobody = S3Options(endpoint=s3_options.endpoint, anonymous=True)
    async with packhouse.open(f"s3://packhouse/public/{name}", options=nobody, mode="r") as store:
        assert await store.load(saved["public"].key) == b"small"
        assert (await store.verify()).findings == ()
    with pytest.raises(packhouse.StorageError) as caught:
        async with packhouse.open(f"s3://packhouse/private/{name}", options=nobody, mode="r"):
            pass
    assert caught.value.kind == "access-denied"


async def test_who_may_not_list_uploads_can_verify(s3_options: S3Options, anyio_backend: str) -> None:
    url = f"s3://packhouse/verify-{secrets.token_hex(4)}"
    async with packhouse.open(url, options=s3_options) as store:
        await store.save_blobs([b"small"])
    kept: dict[str, bytes] = {}
    async with S3Objects(url, s3_options) as objects:
        async for info in objects.list():
            kept[f"/bucket/p/{info.name}"] = bytes((await objects.get(info.name)).data)

    def serve(talk: Talk) -> None:
        for request in talk.requests():
            if "uploads" in request.query:
                talk.send(answer(403, b"<Error><Code>AccessDenied</Code></Error>"))
            else:
                talk.send(talk.server.well(request))

    with hostile(serve) as server:
        server.objects |= {path: (body, {}) for path, body in kept.items()}
        async with packhouse.open("s3://bucket/p", options=impatient(server.url), mode="r") as store:
            report = await store.verify()
    assert (report.findings, report.packs, report.unfinished_uploads) == ((), 1, None)


def without_conditions(talk: Talk) -> None:
    """As OpenStack's Swift: conditions are not implemented."""
    for request in talk.requests():
        if "if-none-match" in request.headers or "if-match" in request.headers:
            talk.send(answer(501, b"<Error><Code>NotImplemented</Code></Error>"))
        else:
            talk.send(talk.server.well(request))


async def test_creating_says_that_conditions_are_missing_and_leaves_nothing(anyio_backend: str) -> None:
    with hostile(without_conditions) as server:
        with pytest.raises(packhouse.UnsupportedStore, match="no conditional writes") as caught:
            async with packhouse.open("s3://bucket/p", options=impatient(server.url)):
                pass
        assert caught.value.kind == "conditional-writes"
        assert server.objects == {}


async def test_how_objects_are_kept_is_said_with_every_write(anyio_backend: str) -> None:
    def serve(talk: Talk) -> None:
        for request in talk.requests():
            talk.send(talk.server.well(request))

    key = secrets.token_bytes(32)
    more = {
        "sse_customer_key": key,
        "storage_class": "STANDARD_IA",
        "requester_pays": True,
        "expected_bucket_owner": "123456789012",
    }
    with hostile(serve) as server:
        options = impatient(server.url, **more).bucket
        assert isinstance(options, S3Options)
        async with S3Objects("s3://bucket/p", options) as store:
            await store.put("small", b"x")
            await store.put("large", secrets.token_bytes(options.part_size + 1))
            await store.get("small")
        for request in server.requests:
            sent = request.headers
            assert (sent["x-amz-request-payer"], sent["x-amz-expected-bucket-owner"]) == ("requester", "123456789012")
            assert sent["x-amz-server-side-encryption-customer-algorithm"] == "AES256", "parts and reads need it, too"
            begins = (request.method == "PUT" and "partNumber" not in request.query) or "uploads" in request.query
            assert ("x-amz-storage-class" in sent) == begins
        options = impatient(server.url, sse="aws:kms", sse_kms_key_id="the-key").bucket
        assert isinstance(options, S3Options)
        async with S3Objects("s3://bucket/p", options) as store:
            await store.put("small", b"x")
        assert server.requests[-1].headers["x-amz-server-side-encryption"] == "aws:kms"
        assert server.requests[-1].headers["x-amz-server-side-encryption-aws-kms-key-id"] == "the-key"


@pytest.mark.parametrize(
    "more", [{"sse": "AES256"}, {"sse_customer_key": bytes(range(32))}, {"storage_class": "STANDARD_IA"}], ids=str
)
async def test_a_store_works_with_what_a_real_server_takes(
    more: dict[str, Any], s3_options: S3Options, anyio_backend: str
) -> None:
    url = f"s3://packhouse/kept-{secrets.token_hex(4)}"
    large = secrets.token_bytes(9 << 20)
    async with packhouse.open(url, options=packhouse.StoreOptions(bucket=replace(s3_options, **more))) as store:
        saved = await store.save_blobs([b"small", large])
        assert await store.load(saved[0]) == b"small"
        assert await store.load(saved[1].key) == large
        await store.names.put("name", 1)
        assert (await store.verify()).findings == ()
    if "sse_customer_key" in more:
        with pytest.raises(packhouse.PackhouseError):
            async with packhouse.open(url, options=packhouse.StoreOptions(bucket=s3_options), mode="r") as store:
                await store.load(saved[0])
