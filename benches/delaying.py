"""A proxy that hands answers on later and counts requests: `python -m benches.delaying PORT SECONDS [SHARE LATE]`.

It prints its port; for every line that it reads it prints how many requests there were since the line before. Data
keeps its rate: each piece waits by itself, up to 64 MiB of them a connection. Of all requests a SHARE reaches the
server LATE seconds after it came.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

_PIECE = 256 << 10
_HELD = 64 << 20
_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


class Counted:
    """The proxy, seen from the process that measures."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self._process = process
        self.port = port

    def requests(self) -> int:
        """Return how many requests there were since the last call."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return int(self._process.stdout.readline())


class Late(NamedTuple):
    """How many requests are held back by how much."""

    share: float = 0
    seconds: float = 0


@contextmanager
def delayed(port: int, seconds: float, late: Late = Late()) -> Iterator[Counted]:  # noqa: B008 - it never changes
    """Run the proxy before a port of this machine."""
    command = [sys.executable, "-m", "benches.delaying", *map(str, (port, seconds, *late))]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield Counted(process, int(process.stdout.readline()))
    finally:
        process.stdin.close()
        process.wait(timeout=10)
        process.stdout.close()


class _Heads:
    """Counts requests in what a client sends."""

    def __init__(self) -> None:
        self.count = 0
        self._body = 0
        self._head = b""

    def feed(self, data: bytes) -> None:
        while data:
            if self._body:
                taken = min(self._body, len(data))
                self._body -= taken
                data = data[taken:]
                continue
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            self.count += 1
            length = _LENGTH.search(self._head, 0, end)
            self._body = int(length[1]) if length else 0
            self._head, data = b"", self._head[end + 4 :]


class _Proxy:
    def __init__(self, port: int, seconds: float, late: Late) -> None:
        self._port = port
        self._seconds = seconds
        self._late = late
        self._luck = random.Random(1)
        self.count = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, to_there = await asyncio.open_connection("127.0.0.1", self._port, limit=_PIECE)
        heads = _Heads()
        with contextlib.suppress(OSError):
            await asyncio.gather(self._asked(reader, to_there, heads), self._answered(there, writer))
        for one in (writer, to_there):
            one.close()

    async def _asked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heads: _Heads) -> None:
        while piece := await reader.read(_PIECE):
            before = heads.count
            heads.feed(piece)
            self.count += heads.count - before
            if heads.count > before and self._luck.random() < self._late.share:
                await asyncio.sleep(self._late.seconds)
            writer.write(piece)
            await writer.drain()
        writer.write_eof()

    async def _answered(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        waiting: deque[tuple[float, bytes]] = deque()
        changed, room = asyncio.Event(), asyncio.Event()
        held = 0

        async def hand_on() -> None:
            nonlocal held
            while True:
                while not waiting:
                    changed.clear()
                    await changed.wait()
                due, piece = waiting.popleft()
                await asyncio.sleep(due - loop.time())
                writer.write(piece)
                await writer.drain()
                held -= len(piece)
                room.set()
                if not piece:
                    return

        task = asyncio.create_task(hand_on())
        while True:
            piece = await reader.read(_PIECE)
            waiting.append((loop.time() + self._seconds, piece))
            held += len(piece)
            changed.set()
            if not piece:
                break
            while held > _HELD:
                room.clear()
                await room.wait()
        await task
        writer.close()


async def _main(port: int, seconds: float, late: Late) -> None:
    proxy = _Proxy(port, seconds, late)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0, limit=_PIECE)
    print(server.sockets[0].getsockname()[1], flush=True)
    told = 0
    while await asyncio.to_thread(sys.stdin.readline):
        print(proxy.count - told, flush=True)
        told = proxy.count
    server.close()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), float(sys.argv[2]), Late(*map(float, sys.argv[3:]))))
