"""One connection's bytes: a non-blocking socket, plain or with TLS in memory.

Of the loop `anyio.wait_readable` and `wait_writable` are asked, and a worker thread for what is long and needs nothing
but to be copied. TLS runs over memory buffers, so that one read of the socket brings many records; Python hands out
16 KiB of plain text a call in any case.
"""

from __future__ import annotations

import errno
import socket
import ssl
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

import anyio
import anyio.lowlevel

from packhouse.objects.http.sockets import LOOK_UP, Glance, blocking, first, glance, receive_all, send_all, take
from packhouse.objects.threads import run_out

__all__ = ["PlainWire", "TlsWire", "Wire"]

_T = TypeVar("_T")
_TURN = 512 << 10
"""Bytes after which the event loop has its turn: a quarter of a millisecond of copying. A fast peer is always ready for
more, and so are those of a dozen other connections."""
_DECRYPTED = 64 << 10
"""The same under TLS, received: all that half a dozen connections have is decrypted on one thread, slice by slice."""
_RAW = 512 << 10
"""Bytes of a read of the socket under TLS: docs/decisions/011."""
_BY_THREAD = 512 << 10
"""Bytes from which on a thread moves what is left: the loop would copy them, and be woken for every piece."""


class Wire(ABC):
    """A connection. Used by one task at a time; after any error only `close` is left."""

    def __init__(self, raw: socket.socket) -> None:
        self.raw = raw
        self.idle_since = 0.0
        self._moved = 0

    @abstractmethod
    async def send(self, queue: deque[memoryview]) -> bool:
        """Send what is in the queue, taking out what is sent; `False` when the peer spoke before the end."""

    @abstractmethod
    async def read_into(self, target: memoryview) -> int:
        """Read at least one byte, as many as are there; 0 at the end."""

    async def fill(self, target: memoryview) -> int:
        """Read until the target is full; fewer bytes at the end only."""
        done = 0
        while done < len(target) and (count := await self.read_into(target[done:])):
            done += count
        return done

    @abstractmethod
    def glance(self) -> Glance:
        """Look whether something can be read, without waiting and without taking it."""

    def close(self) -> None:
        """Close the socket, at once."""
        self.raw.close()

    async def _give_turn(self, most: int = _TURN) -> None:
        """Let the loop have its turn if enough was moved since the last one; awaited before each piece."""
        if self._moved >= most:
            await anyio.lowlevel.checkpoint()
            self._moved = 0

    async def _wait_readable(self) -> None:
        await anyio.wait_readable(self.raw)
        self._moved = 0

    async def _wait_writable(self) -> bool:
        """Wait until bytes can be sent; `False` when the peer spoke meanwhile."""
        while True:
            if self.glance() == "speaks":
                return False
            with anyio.move_on_after(LOOK_UP):
                await anyio.wait_writable(self.raw)
                self._moved = 0
                return True


class PlainWire(Wire):
    """The socket itself."""

    async def send(self, queue: deque[memoryview]) -> bool:
        if sum(view.nbytes for view in queue) >= _BY_THREAD:
            return await self._in_thread(partial(send_all, self.raw, queue))
        while queue:
            await self._give_turn()
            some = first(queue, _TURN)
            try:
                sent = self.raw.sendmsg(some)
            except BlockingIOError:
                if not await self._wait_writable():
                    return False
                continue
            take(queue, sent)
            self._moved += sent
        return True

    async def read_into(self, target: memoryview) -> int:
        await self._give_turn()
        some = target[:_TURN]
        while True:
            try:
                count = self.raw.recv_into(some)
            except BlockingIOError:
                await self._wait_readable()
            else:
                self._moved += count
                return count

    async def fill(self, target: memoryview) -> int:
        if len(target) < _BY_THREAD:
            return await super().fill(target)
        return await self._in_thread(partial(receive_all, self.raw, target))

    async def _in_thread(self, work: Callable[[], _T]) -> _T:
        """Let a thread work with the socket, which blocks meanwhile; given up, it ends at once."""
        call = partial(blocking, self.raw, work)
        try:
            return await run_out(call, stop=self._stop, limiter=anyio.CapacityLimiter(1))
        except RuntimeError as error:  # the system has no more threads
            raise OSError(errno.EAGAIN, str(error)) from error

    def _stop(self) -> None:
        """Let the call that a thread is in end, now."""
        with suppress(OSError):
            self.raw.shutdown(socket.SHUT_RDWR)

    def glance(self) -> Glance:
        try:
            return glance(self.raw)
        except OSError:
            return "closed"


class TlsWire(Wire):
    """TLS over memory buffers."""

    def __init__(self, raw: socket.socket, context: ssl.SSLContext, host: str) -> None:
        super().__init__(raw)
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._buffer = bytearray(_RAW)
        self._ahead = b""
        self._unsent: deque[memoryview] = deque()

    async def handshake(self) -> None:
        """Agree on keys, and check who the peer is."""
        while True:
            try:
                self._tls.do_handshake()
            except ssl.SSLWantReadError:
                await self._flush()
                await anyio.wait_readable(self.raw)
                if self._receive() == "closed":
                    raise ConnectionResetError(errno.ECONNRESET, "closed during the TLS handshake") from None
            except ssl.SSLError:
                await self._flush()  # the alert tells the peer why
                raise
            else:
                await self._flush()
                return

    async def send(self, queue: deque[memoryview]) -> bool:
        while queue:
            if not await self._flush():
                return False
            await self._give_turn()
            count = self._tls.write(queue[0][:_TURN])
            take(queue, count)
            self._moved += count
        return await self._flush()

    async def _flush(self) -> bool:
        """Send what TLS has ready; `False` when the peer spoke while it could not be sent."""
        if self._out.pending:
            self._unsent.append(memoryview(self._out.read()))
        while self._unsent:
            try:
                take(self._unsent, self.raw.send(self._unsent[0]))
            except BlockingIOError:
                if not await self._wait_writable():
                    return False
        return True

    async def read_into(self, target: memoryview) -> int:
        if self._ahead:
            count = min(len(self._ahead), len(target))
            target[:count] = self._ahead[:count]
            self._ahead = self._ahead[count:]
            return count
        await self._give_turn(_DECRYPTED)
        some = target[:_DECRYPTED]
        while True:
            plain = self._decrypt(some)
            if plain is not None:
                self._moved += plain
                return plain
            await self._wait_readable()
            self._receive()

    def _decrypt(self, target: memoryview) -> int | None:
        """Fill the target with what is here; None when more must be received, 0 at the end."""
        done = 0
        while done < len(target):
            try:
                count: int = self._tls.read(len(target) - done, target[done:])  # type: ignore[assignment] # of bytes read
            except (ssl.SSLWantReadError, ssl.SSLSyscallError):
                if not done and self._in.eof:
                    return 0
                return done or None
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return done
            if not count:
                return done
            done += count
        return done

    def _receive(self) -> Glance:
        """Take what the socket has; nothing of it is plain text yet."""
        try:
            count = self.raw.recv_into(self._buffer)
        except BlockingIOError:
            return "silent"
        if not count:
            self._in.write_eof()
            return "closed"
        self._in.write(memoryview(self._buffer)[:count])
        return "speaks"

    def glance(self) -> Glance:
        if self._ahead:
            return "speaks"
        try:
            self._receive()
            piece = bytearray(16 << 10)
            count = self._decrypt(memoryview(piece))
        except OSError:
            return "closed"
        if count is None:
            return "silent"
        self._ahead = bytes(piece[:count])
        return "speaks" if count else "closed"
