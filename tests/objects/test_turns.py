"""The event loop has its turns while a bucket is at its fastest: nothing goes on for as long as there is more."""

from __future__ import annotations

import ssl
from collections import deque
from typing import Any, cast

import anyio
import anyio.lowlevel
import pytest

from packhouse.objects.http.wires import PlainWire, TlsWire, Wire

SIZE = 16 << 20
LEAST = 16
"""Turns: one for each MiB."""


class Tireless:
    """A socket, or TLS over one, that always has more and takes all that it is given."""

    def recv_into(self, target: memoryview, flags: int = 0) -> int:
        del flags
        return len(target)

    def read(self, count: int, target: memoryview) -> int:
        assert count <= len(target)
        return count

    def sendmsg(self, buffers: list[memoryview]) -> int:
        return sum(buffer.nbytes for buffer in buffers)

    def write(self, buffer: memoryview) -> int:
        return buffer.nbytes


def tireless(kind: str) -> Wire:
    peer = cast("Any", Tireless())
    if kind == "plain":
        return PlainWire(peer)
    wire = TlsWire(peer, ssl.create_default_context(), "host")
    wire._tls = peer  # what is read and written is not looked at
    return wire


class Turns:
    """Counts the turns of the loop."""

    def __init__(self) -> None:
        self.count = 0

    async def run(self) -> None:
        while True:
            await anyio.lowlevel.checkpoint()
            self.count += 1


@pytest.mark.parametrize("kind", ["plain", "tls"])
async def test_a_service_that_is_always_ready_to_send_does_not_stop_the_loop(kind: str) -> None:
    wire, turns, target = tireless(kind), Turns(), memoryview(bytearray(SIZE))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turns.run)
        done = 0
        while done < SIZE:
            done += await wire.read_into(target[done:])
        tasks.cancel_scope.cancel()
    assert turns.count >= LEAST


@pytest.mark.parametrize("kind", ["plain", "tls"])
@pytest.mark.parametrize("buffers", [1, 300])
async def test_a_service_that_takes_all_at_once_does_not_stop_the_loop(kind: str, buffers: int) -> None:
    wire, turns = tireless(kind), Turns()
    queue = deque(memoryview(bytes(SIZE // buffers)) for _ in range(buffers))
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(turns.run)
        assert await wire.send(queue)
        tasks.cancel_scope.cancel()
    assert not queue
    assert turns.count >= LEAST - 1
