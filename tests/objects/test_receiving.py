"""Long bodies, which a thread receives straight into their place: given up, cut off, followed by something."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from typing import Any

import anyio
import pytest
from anyio import to_thread

from packhouse.errors import StorageError
from packhouse.objects.http import sockets, wires
from packhouse.objects.s3 import S3Objects
from tests.cancelling import busy_threads
from tests.hostile.behaviours import BEHAVIOURS, Behaviour, reading
from tests.hostile.driving import drive, options_for
from tests.hostile.server import Talk, answer, hostile

BODY = bytes(range(256)) * (16 << 10)
HALF = len(BODY) // 2
WHOLE = answer(206, BODY, content_range=f"bytes 0-{len(BODY) - 1}/{len(BODY)}")
PAUSE = 1.0


def pausing(talk: Talk) -> None:
    """Send half of a body, and the other half a second later."""
    for _ in talk.requests():
        talk.send(WHOLE[:-HALF])
        talk.server.over.wait(PAUSE)
        talk.send(WHOLE[-HALF:])


def cut_once(talk: Talk) -> None:
    """Leave in the middle of the first answer."""
    for _ in talk.requests():
        talk.send(WHOLE[:-HALF] if talk.server.connections == 1 else WHOLE)
        if talk.server.connections == 1:
            return


def saying_more(talk: Talk) -> None:
    """Send what nobody asked for behind every answer."""
    for _ in talk.requests():
        talk.send(WHOLE + answer(206, b"wrong", content_range="bytes 0-4/5"))


async def read(store: S3Objects, into: bytearray) -> None:
    await store.get("name", length=len(into), into=memoryview(into))


async def test_a_long_read_that_is_given_up_ends_at_once_and_writes_no_more() -> None:
    into = bytearray(len(BODY))
    with hostile(pausing) as server:
        async with S3Objects("s3://bucket", options_for(server)) as store:
            started = time.monotonic()
            with anyio.move_on_after(0.3) as scope:
                await read(store, into)
            assert scope.cancelled_caught
            assert time.monotonic() - started < 0.3 + PAUSE / 2
            then = bytes(into)
            assert then[:1024] == BODY[:1024], "it had begun"
            await anyio.sleep(PAUSE)
            assert into == then, "the buffer is its caller's again"


async def test_a_long_read_that_is_cancelled_in_any_way_leaves_no_thread_at_its_socket(
    way: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    receive_all = sockets.receive_all

    def slow(*args: Any) -> Any:
        try:
            return receive_all(*args)
        finally:
            time.sleep(0.05)

    monkeypatch.setattr(wires, "receive_all", slow)
    with hostile(pausing) as server:
        async with S3Objects("s3://bucket", options_for(server)) as store:
            await way(0.2, lambda: read(store, bytearray(len(BODY))))
            assert busy_threads() == 0


def test_a_long_read_that_is_left_when_the_loop_ends_leaves_no_thread_at_its_socket(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receive_all, ended = sockets.receive_all, threading.Event()

    def slow(*args: Any) -> Any:
        try:
            return receive_all(*args)
        finally:
            time.sleep(0.05)
            ended.set()

    async def leave(server: Any) -> None:
        store = await S3Objects("s3://bucket", options_for(server)).__aenter__()
        left = asyncio.create_task(read(store, bytearray(len(BODY))))
        left.add_done_callback(lambda _: over.append(ended.is_set()))
        await asyncio.sleep(0.2)

    over: list[bool] = []
    monkeypatch.setattr(wires, "receive_all", slow)
    with hostile(pausing) as server:
        asyncio.run(leave(server))
    assert over == [True]


@pytest.mark.parametrize("behave", [cut_once, saying_more, pausing])
async def test_a_long_body_arrives_whole_whatever_the_connection_does(behave: Callable[[Talk], None]) -> None:
    with hostile(behave) as server:
        async with S3Objects("s3://bucket", options_for(server)) as store:
            for _ in range(2):
                into = bytearray(len(BODY))
                await read(store, into)
                assert into == BODY


async def test_a_long_read_without_a_thread_is_an_error_of_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    async def none_left(*_: Any, **__: Any) -> None:
        raise RuntimeError("can't start new thread")

    with hostile(saying_more) as server:
        async with S3Objects("s3://bucket", options_for(server)) as store:
            monkeypatch.setattr(to_thread, "run_sync", none_left)
            with pytest.raises(StorageError) as caught:
                await read(store, bytearray(len(BODY)))
            assert caught.value.kind == "connection-lost"


@pytest.mark.parametrize("anyio_backend", ["asyncio", pytest.param("trio", marks=pytest.mark.torture)])
@pytest.mark.parametrize(
    "behaviour",
    [one for one in BEHAVIOURS if one.check.__module__ == reading.__name__ and one.fits("s3")],
    ids=lambda one: one.name,
)
async def test_a_client_survives_when_threads_receive(
    behaviour: Behaviour, anyio_backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wires, "_BY_THREAD", 1)
    await drive(behaviour, "own")
