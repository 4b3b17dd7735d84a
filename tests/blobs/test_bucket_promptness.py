"""Whoever is cancelled while a bucket says nothing is answered at once, not when its request ends."""

from __future__ import annotations

import asyncio
import random
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anyio
import pytest

import packhouse
from packhouse.objects.http import HttpOptions
from packhouse.objects.s3 import S3Options
from tests.hostile.server import Hostile, Talk, hostile

WITHIN = 2.0
"""Seconds; the deadline is fifteen times as long."""
PATIENT = HttpOptions(deadline=30, answer=30)
LARGE = random.Random(11).randbytes(20 << 20)

Doing = Callable[[packhouse.BlobStore, packhouse.SavedBlob], Awaitable[Any]]


def _until_told(talk: Talk) -> None:
    for request in talk.requests():
        if talk.server.told.get("silent"):
            talk.stall()
            return
        talk.send(talk.server.well(request))


def _options(server: Hostile) -> S3Options:
    return S3Options(endpoint=server.url, region="r", anonymous=True, http=PATIENT)


def _open(server: Hostile) -> packhouse.BlobStore:
    return packhouse.open("s3://bucket/p", options=_options(server), cache_dir=None)


async def _load_blobs(store: packhouse.BlobStore, saved: packhouse.SavedBlob) -> None:
    async for _ in store.load_blobs([saved]):
        pass


async def _large(store: packhouse.BlobStore, saved: packhouse.SavedBlob) -> None:
    del saved

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(LARGE), 1 << 20):
            yield LARGE[start : start + (1 << 20)]

    await store.save_stream(pieces())


DOINGS: dict[str, Doing] = {
    "load": lambda store, saved: store.load(saved),
    "load by key": lambda store, saved: store.load(saved.key),
    "load_blobs": _load_blobs,
    "contains": lambda store, saved: store.contains(saved.key),
    "names.get": lambda store, _: store.names.get("name"),
    "names.put": lambda store, _: store.names.put("name", 2),
    "verify": lambda store, _: store.verify(),
    "save": _large,
    "save small": lambda store, _: store.save_blobs([b"new"]),
}


@pytest.mark.parametrize("what", DOINGS)
async def test_a_call_that_is_cancelled_does_not_wait_for_a_silent_bucket(what: str) -> None:
    with hostile(_until_told) as server:
        async with _open(server) as store:
            (saved,) = await store.save_blobs([b"kept"])
            await store.names.put("name", 1)
        async with _open(server) as store:
            server.told["silent"] = True
            began = time.monotonic()
            with anyio.move_on_after(0.3) as scope:
                await DOINGS[what](store, saved)
            assert scope.cancelled_caught
            assert time.monotonic() - began < WITHIN, "it waited for the request"
            server.told["silent"] = False
            assert await store.load(saved) == b"kept"
            assert (await store.names.get("name")).doc == 1
            assert (await store.verify()).findings == ()


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_asyncios_own_cancellation_does_not_wait_either(anyio_backend: str) -> None:
    with hostile(_until_told) as server:
        async with _open(server) as store:
            (saved,) = await store.save_blobs([b"kept"])
        async with _open(server) as store:
            server.told["silent"] = True
            began = time.monotonic()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(store.load(saved.key), 0.3)
            assert time.monotonic() - began < WITHIN


async def test_one_who_is_cancelled_does_not_wait_for_anothers_look_up() -> None:
    with hostile(_until_told) as server:
        async with _open(server) as store:
            (saved,) = await store.save_blobs([b"kept"])
        async with _open(server) as store, anyio.create_task_group() as tasks:
            server.told["silent"] = True
            tasks.start_soon(store.contains, saved.key)
            await anyio.sleep(0.2)
            began = time.monotonic()
            with anyio.move_on_after(0.3):
                await store.contains(saved.key)
            assert time.monotonic() - began < WITHIN
            tasks.cancel_scope.cancel()


async def test_opening_and_leaving_a_store_do_not_wait_for_a_silent_bucket() -> None:
    with hostile(_until_told) as server:
        async with _open(server) as store:
            (saved,) = await store.save_blobs([b"kept"])
        server.told["silent"] = True
        began = time.monotonic()
        with anyio.move_on_after(0.3) as scope:
            async with _open(server):
                pytest.fail("it was opened")
        assert scope.cancelled_caught
        assert time.monotonic() - began < WITHIN
        server.told["silent"] = False

        async def load() -> None:
            with suppress(packhouse.StoreClosed):
                await store.load(saved.key)
                pytest.fail("it was loaded")

        async with anyio.create_task_group() as tasks:
            async with _open(server) as store:
                server.told["silent"] = True
                tasks.start_soon(load)
                await anyio.sleep(0.3)
                began = time.monotonic()
            assert time.monotonic() - began < WITHIN


async def _open_with_slow_credentials(tmp_path: Path, http: HttpOptions, patch: pytest.MonkeyPatch) -> None:
    slow = tmp_path / "slow.py"
    slow.write_text("import time\ntime.sleep(5)\n")
    config = tmp_path / "config"
    config.write_text(f"[default]\ncredential_process = {sys.executable} {slow}\n")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_CONFIG_FILE", str(config))
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    options = S3Options(endpoint="http://127.0.0.1:9", region="r", http=http)
    async with packhouse.open("s3://bucket/p", options=options):
        pytest.fail("it was opened")


async def test_opening_can_be_cancelled_while_credentials_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with anyio.move_on_after(0.5) as scope:
        await _open_with_slow_credentials(tmp_path, PATIENT, monkeypatch)
    assert scope.cancelled_caught
    assert time.monotonic() - began < WITHIN


async def test_opening_has_a_deadline_while_credentials_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began = time.monotonic()
    with pytest.raises(packhouse.StorageError) as caught:
        await _open_with_slow_credentials(tmp_path, HttpOptions(deadline=0.5), monkeypatch)
    assert caught.value.kind == "deadline"
    assert time.monotonic() - began < WITHIN
