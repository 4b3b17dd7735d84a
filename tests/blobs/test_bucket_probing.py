"""What is tried out before a store is made in a bucket, what its settings keep, and what then follows from it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

import packhouse
from packhouse.objects.doctor import examine
from packhouse.objects.s3 import S3Objects, S3Options
from tests.blobs.conftest import Counting, objects_of, services
from tests.hostile.server import Behave, Hostile, Talk, answer, hostile

URL = "s3://bucket/p"


@contextmanager
def serving(behave: Behave) -> Iterator[tuple[Hostile, S3Options]]:
    """Run a server; and how to reach it."""
    with hostile(behave) as server:
        yield server, S3Options(endpoint=server.url, region="r", anonymous=True)


def opened(bucket: S3Options) -> packhouse.BlobStore:
    return packhouse.open(URL, options=packhouse.StoreOptions(bucket=bucket))


def settings_of(server: Hostile) -> dict[str, object]:
    document: dict[str, object] = json.loads(server.objects["/bucket/p/store.json"][0].partition(b"\n")[2])
    return document


def heedless(talk: Talk) -> None:
    """Take conditions and do not look at those for what is not there."""
    for request in talk.requests():
        request.headers.pop("if-none-match", None)
        talk.send(talk.server.well(request))


def forgetful(talk: Talk) -> None:
    """Take conditions and do not look at those for what is there."""
    for request in talk.requests():
        request.headers.pop("if-match", None)
        talk.send(talk.server.well(request))


def without(talk: Talk) -> None:
    """Refuse conditions."""
    for request in talk.requests():
        refused = request.headers.keys() & {"if-match", "if-none-match"}
        talk.send(answer(501, b"<Error><Code>NotImplemented</Code></Error>") if refused else talk.server.well(request))


def unquoted(talk: Talk) -> None:
    """Want versions without quotes, and give them so."""
    for request in talk.requests():
        version = request.headers.get("if-match", "")
        if version:
            request.headers["if-match"] = f'"{version}"'  # as a good server wants it, unless it had quotes already
        told = talk.server.well(request)
        head, end, body = told.partition(b"\r\n\r\n")
        talk.send(head.replace(b'"', b"") + end + body)


def contrary(talk: Talk) -> None:
    """Find every version wrong."""
    for request in talk.requests():
        if "if-match" in request.headers:
            request.headers["if-match"] = "another"
        talk.send(talk.server.well(request))


def keeping_lists() -> Behave:
    """Answer a list as it was when the same was asked for before: what a cache on the way does."""
    kept: dict[str, bytes] = {}

    def serve(talk: Talk) -> None:
        for request in talk.requests():
            told = talk.server.well(request)
            if "list-type" in request.query:
                told = kept.setdefault(request.query["prefix"][0], told)
            talk.send(told)

    return serve


def listing_late(seconds: float) -> Behave:
    """List an object only some time after it was put."""
    put: dict[str, float] = {}

    def serve(talk: Talk) -> None:
        for request in talk.requests():
            if request.method == "PUT":
                put.setdefault(request.path, time.monotonic())
            if "list-type" not in request.query:
                talk.send(talk.server.well(request))
                continue
            with talk.server.lock:
                everything = talk.server.objects
                ready = {path for path in everything if time.monotonic() - put[path] > seconds}
                talk.server.objects = {path: everything[path] for path in ready}
            told = talk.server.well(request)
            with talk.server.lock:
                talk.server.objects = everything
            talk.send(told)

    return serve


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize("behave", [keeping_lists(), listing_late(5)], ids=["kept", "late"])
async def test_a_service_whose_lists_lag_gets_no_store(behave: Behave, anyio_backend: str) -> None:
    with serving(behave) as (server, bucket):
        for chosen in (bucket, replace(bucket, conditional_writes=False)):
            with pytest.raises(packhouse.UnsupportedStore, match="does not list what was just put") as caught:
                async with opened(chosen):
                    pass
            assert caught.value.kind == "list-after-put"
        assert server.objects == {}, "nothing is left"
        async with S3Objects(URL, bucket) as objects:
            found = {each.subject: each async for each in examine(objects)}
        assert found["listing"].verdict == "bad"


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
@pytest.mark.parametrize(
    ("behave", "says"),
    [
        (heedless, "ignores conditional writes (if absent)"),
        (forgetful, "ignores conditional writes (if unchanged)"),
        (without, "has no conditional writes"),
        (contrary, "refuses conditional writes on the very version"),
    ],
    ids=["heedless", "forgetful", "without", "contrary"],
)
async def test_a_service_without_conditional_writes_gets_no_store_with_names(
    behave: Behave, says: str, anyio_backend: str
) -> None:
    with serving(behave) as (server, bucket):
        with pytest.raises(packhouse.UnsupportedStore) as caught:
            async with opened(bucket):
                pass
        assert caught.value.kind == "conditional-writes"
        assert says in str(caught.value)
        assert server.objects == {}, "nothing is left"
        for chosen in (replace(bucket, conditional_writes=False), bucket):  # the store remembers it
            async with opened(chosen) as store:
                (saved,) = await store.save_blobs([b"kept"])
                assert bytes(await store.load(saved.key)) == b"kept"
                with pytest.raises(packhouse.UnsupportedStore, match="made without conditional writes"):
                    await store.names.put("name", 1)
                with pytest.raises(packhouse.NameNotFound):
                    await store.names.get("name")
        assert settings_of(server)["conditional_writes"] is False


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_service_that_wants_versions_without_quotes_gets_them(anyio_backend: str) -> None:
    with serving(unquoted) as (server, bucket):
        async with opened(bucket) as store:
            version = await store.names.put("name", 1)
            await store.names.replace("name", 2, version)
        assert settings_of(server)["quoted_etags"] is False
        async with opened(bucket) as store:  # the store remembers it
            found = await store.names.get("name")
            await store.names.replace("name", 3, found.version)
            with pytest.raises(packhouse.NameConflict):
                await store.names.replace("name", 4, version)
        async with opened(replace(bucket, quoted_etags=True)) as store:  # and its user may know better
            found = await store.names.get("name")
            with pytest.raises(packhouse.NameConflict):
                await store.names.replace("name", 4, found.version)
        async with S3Objects(URL, bucket) as objects:
            told = {each.subject: each.detail async for each in examine(objects)}
        assert "versions without quotes" in told["conditional writes"]


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_what_its_user_says_of_quotes_is_kept_too(anyio_backend: str) -> None:
    with serving(unquoted) as (server, bucket):
        with pytest.raises(packhouse.UnsupportedStore, match="refuses conditional writes"):
            async with opened(replace(bucket, quoted_etags=True)):
                pass
        async with opened(replace(bucket, quoted_etags=False)):
            pass
        assert settings_of(server)["quoted_etags"] is False


@services
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_each_service_is_seen_to_do_what_a_store_needs(
    url: str, options: packhouse.StoreOptions, anyio_backend: str
) -> None:
    async with packhouse.open(url, options=options):
        pass
    async with objects_of(url, options) as objects:
        assert [info.name async for info in objects.list()] == ["store.json"], "nothing else is left"
        settings = json.loads(bytes((await objects.get("store.json")).data).partition(b"\n")[2])
    assert (settings["conditional_writes"], settings["quoted_etags"], settings["list_after_put"]) == (True, True, True)


async def test_opening_is_one_read_and_making_a_store_nine_requests_more(
    url: str, options: packhouse.StoreOptions, counting: Counting
) -> None:
    with counting() as making:
        async with packhouse.open(url, options=options):
            pass
    with counting() as opening:
        async with packhouse.open(url, options=options):
            pass
    with counting() as reading:
        async with packhouse.open(url, options=options, mode="r"):
            pass
    assert opening == reading == {"GET": 1}
    # Two lists and a put; four conditional puts; what was put is removed. Then the store: see that nothing else is
    # there, put the settings, read what counts.
    assert making == {"GET": 3, "LIST": 2 + 1, "PUT": 1 + 4 + 1, "DELETE": 2}
