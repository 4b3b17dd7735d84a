"""Reads that are asked twice: whoever waits for one slow machine need not."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import anyio
import pytest

from packhouse.errors import InvalidInput, NameNotFound, StorageError
from packhouse.objects.http import Call, HttpOptions
from packhouse.objects.http.calls import Fault, Reply
from packhouse.objects.http.hedging import Outcome, hedged
from packhouse.objects.s3 import S3Objects, S3Options
from tests.hostile.driving import options_for
from tests.hostile.server import Behave, Hostile, Talk, hostile

_SLOW = 4.0


def sluggish(*slow: int, begun: int = 0) -> Behave:
    """Hold back the answers to some reads, by their numbers, from that byte on."""

    def behave(talk: Talk) -> None:
        for request in talk.requests():
            number = talk.server.count("GET") - 1
            answer = talk.server.well(request)
            if request.method == "GET" and number in slow:
                talk.send(answer[:begun])
                talk.server.over.wait(_SLOW)
                answer = answer[begun:]
            talk.send(answer)

    return behave


def hedging(server: Hostile, seconds: float | None) -> S3Options:
    return replace(options_for(server), http=HttpOptions(hedge=seconds))


@pytest.mark.parametrize("size", [100, 3 << 20])
async def test_a_slow_answer_costs_no_more_than_the_hedge(size: int) -> None:
    body = secrets.token_bytes(size)
    with hostile(sluggish(0)) as server:
        async with S3Objects("s3://bucket", hedging(server, 0.1)) as store:
            await store.put("name", body)
            started = time.monotonic()
            buffer = bytearray(size - 1)
            await store.get("name", start=1, length=size - 1, into=memoryview(buffer))
            assert time.monotonic() - started < _SLOW / 2
            assert buffer == body[1:]
            assert server.count("GET") == 2
            await store.get("name")
            assert server.count("GET") == 3, "an answer that comes in time is asked for once"


async def test_an_answer_that_has_begun_is_waited_for() -> None:
    with hostile(sluggish(0, begun=200_000)) as server:
        async with S3Objects("s3://bucket", hedging(server, 0.1)) as store:
            await store.put("name", bytes(1 << 20))
            with anyio.move_on_after(1) as scope:
                await store.get("name")
            assert scope.cancelled_caught
            assert server.count("GET") == 1


async def test_nothing_is_asked_twice_unless_that_is_wanted() -> None:
    with hostile(sluggish(0)) as server:
        async with S3Objects("s3://bucket", hedging(server, None)) as store:
            await store.put("name", b"body")
            with anyio.move_on_after(1):
                await store.get("name")
            assert server.count("GET") == 1


async def test_an_absent_object_is_told_at_once() -> None:
    with hostile(sluggish()) as server:
        async with S3Objects("s3://bucket", hedging(server, 0.5)) as store:
            with pytest.raises(NameNotFound):
                await store.get("name")
            assert server.count("GET") == 1


def attempts(*each: tuple[float, bytes | Exception | None]) -> Callable[[Call], Awaitable[Outcome]]:
    """Make attempts that end after so many seconds: well, with an error, or (None) with a fault."""
    turns = iter(each)

    async def attempt(call: Call) -> Outcome:
        seconds, end = next(turns)
        assert call.into is not None
        call.into[:1] = b"?"
        await anyio.sleep(seconds)
        if isinstance(end, Exception):
            raise end
        if end is None:
            return Fault(StorageError(f"after {seconds}", kind="server")), 0.0
        call.into[:] = end
        return Reply(200, {}, call.into)

    return attempt


async def run(*each: tuple[float, bytes | Exception | None], may: bool = True) -> tuple[Outcome, bytearray]:
    buffer = bytearray(4)
    call = Call(method="GET", url="", what="read", into=memoryview(buffer))
    return await hedged(attempts(*each), call, 0.05, lambda: may), buffer


async def test_the_first_good_answer_counts_and_stands_in_the_callers_buffer() -> None:
    for each in ([(9, b"slow"), (0, b"fast")], [(0.2, b"fast"), (9, b"slow")], [(0.1, None), (0.2, b"fast")]):
        outcome, buffer = await run(*each)
        assert isinstance(outcome, Reply)
        assert bytes(outcome.body) == buffer == b"fast"


async def test_the_first_trouble_is_told_when_both_have_some() -> None:
    outcome, _ = await run((0.2, None), (0.1, None))
    assert not isinstance(outcome, Reply)
    assert str(outcome[0].error) == "after 0.1"
    with pytest.raises(InvalidInput, match="mine"):
        await run((0, InvalidInput("mine")))


async def test_a_service_that_is_slow_altogether_is_not_asked_twice() -> None:
    outcome, _ = await run((0.2, b"late"), may=False)
    assert isinstance(outcome, Reply)


def test_a_hedge_of_no_time_is_refused() -> None:
    with pytest.raises(InvalidInput, match="hedge"):
        HttpOptions(hedge=0)
