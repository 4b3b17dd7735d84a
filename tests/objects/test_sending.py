"""Long bodies, which a thread sends: given up, refused in the middle, sent to a peer that takes its time."""

from __future__ import annotations

import threading
import time

import anyio
import pytest

from packhouse.errors import PackhouseError, StorageError
from packhouse.objects.s3 import S3Objects
from tests.hostile.driving import DEADLINE, options_for
from tests.hostile.server import Talk, answer, hostile

BODY = bytes(range(256)) * (96 << 10)
"""More than the system takes from a sender before the peer reads."""
PAUSE = 1.0
SLOWLY = 3.0
"""Seconds that `options_for` grants so many bytes beside its deadline."""


def deaf(talk: Talk) -> None:
    """Read nothing of a body."""
    talk.server.over.wait(30)


def refusing(talk: Talk) -> None:
    """Refuse before anything of the body is read, and keep the connection."""
    talk.raw.recv(100)
    talk.send(answer(403, b"<Error><Code>AccessDenied</Code></Error>"))
    talk.server.over.wait(30)


def slow(talk: Talk) -> None:
    """Wait before a body is read."""
    talk.server.over.wait(PAUSE)
    for request in talk.requests():
        talk.send(answer(200, b"", etag='"1"') if request.body == BODY else answer(400, b""))


async def test_a_long_write_that_is_given_up_ends_at_once() -> None:
    with hostile(deaf) as server:
        async with S3Objects("s3://bucket", options_for(server, part_size=32 << 20)) as store:
            started = time.monotonic()
            before = threading.active_count()
            with anyio.move_on_after(0.3) as scope:
                await store.put("name", BODY)
            assert scope.cancelled_caught
            assert time.monotonic() - started < 5
            assert threading.active_count() <= before + 2, "a thread is left in a system call"


async def test_a_long_write_that_is_refused_in_the_middle_says_why() -> None:
    with hostile(refusing) as server:
        async with S3Objects("s3://bucket", options_for(server, part_size=32 << 20)) as store:
            started = time.monotonic()
            with pytest.raises(StorageError) as told:
                await store.put("name", BODY)
            assert told.value.kind == "access-denied"
            assert time.monotonic() - started < 5


async def test_a_long_write_to_a_service_that_takes_its_time_arrives_whole() -> None:
    with hostile(slow) as server:
        async with S3Objects("s3://bucket", options_for(server, part_size=32 << 20)) as store:
            for _ in range(2):
                assert (await store.put("name", BODY)).size == len(BODY)


async def test_a_long_write_to_a_service_that_never_reads_ends_by_its_deadline() -> None:
    with hostile(deaf) as server:
        async with S3Objects("s3://bucket", options_for(server, part_size=32 << 20)) as store:
            started = time.monotonic()
            with pytest.raises(PackhouseError):
                await store.put("name", BODY)
            assert time.monotonic() - started < DEADLINE + SLOWLY + 3
