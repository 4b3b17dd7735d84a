"""A forked child inherits handles whose threads stayed behind: it is refused at once, and harms nothing."""

from __future__ import annotations

import asyncio
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest

import packhouse

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from pathlib import Path

    Use = Callable[[], Coroutine[Any, Any, Any]]

COUNT, SIZE = 400, 100_000
"""More than is fetched ahead, so that a half-read iterator has to ask for more."""

# A child of trio's loop cannot run another; asyncio's can.
pytestmark = pytest.mark.parametrize(
    "anyio_backend", [("asyncio", {}), ("asyncio", {"use_uvloop": True})], ids=["asyncio", "uvloop"]
)


def _fork(use: Use) -> str:
    """Run it in a forked child, on a loop of its own, for at most 10 s; returns how it ended there."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        signal.alarm(10)
        try:
            asyncio.run(use())
            told = "worked"
        except packhouse.StoreClosed as error:
            told = f"refused: {error.kind}"
        except BaseException as error:  # noqa: BLE001 - the parent is told
            told = repr(error)
        os.write(writing, told.encode())
        os._exit(0)
    os.close(writing)
    os.waitpid(child, 0)
    with os.fdopen(reading, encoding="utf-8") as pipe:
        return pipe.read() or "hung"


async def test_a_child_is_refused_whatever_it_goes_on_with(folder: Path) -> None:
    async with packhouse.open(folder) as store:
        saved = await store.save_blobs([os.urandom(SIZE) for _ in range(COUNT)])
        half_read = store.load_blobs(saved)
        first = await anext(half_read)
        reader = await store.open_read(saved[0])

        async def read_on() -> None:
            async for _ in half_read:
                pass

        assert await _went("load", lambda: store.load(saved[0])) == "refused: forked"
        assert await _went("save", lambda: store.save_blobs([b"new"])) == "refused: forked"
        assert await _went("names", lambda: store.names.put("name", 1)) == "refused: forked"
        assert await _went("read on", read_on) == "refused: forked"
        assert await _went("reader", reader.read) == "refused: forked"
        assert await _went("close the iterator", half_read.aclose) == "worked"
        async with store.saving((os.urandom(SIZE) for _ in range(COUNT)), commit_every=SIZE * 10) as results:
            await anext(results)

            async def save_on() -> None:
                async for _ in results:
                    pass

            assert await _went("save on", save_on) == "refused: forked"
            assert await _went("leave", lambda: results.__aexit__(None, None, None)) == "worked"
            rest = [blob async for blob in results]
        # The parent never noticed.
        assert {blob.key async for blob in half_read} | {first.key} == {blob.key for blob in saved}
        assert len(await reader.read()) == SIZE
        assert len(rest) == COUNT - 1
        assert not (await store.verify()).findings


async def test_a_child_leaves_the_parents_store_open(folder: Path) -> None:
    store = packhouse.open(folder)
    async with store:
        (saved,) = await store.save_blobs([b"parent's"])

        async def leave() -> None:
            await store.__aexit__(None, None, None)

        assert await _went("leave", leave) == "worked"
        assert await store.load(saved) == b"parent's"
        assert await store.save_blobs([b"more"])


async def _went(what: str, use: Use) -> str:
    told = _fork(use)
    assert told != "hung", f"{what}: the child hung"
    return told
