"""One request and its answer on one connection.

h11 reads chunked bodies, and heads that are not as plain as most are; a body of known length goes from the socket into
its place. The connection can be used again only if the answer was read to its end and nothing came behind it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from typing import TypeAlias

import h11

from packhouse.objects.http.heads import Headers, read_head, write_head
from packhouse.objects.http.wires import Wire

__all__ = ["Exchange", "Headers", "Target"]

Target: TypeAlias = Callable[[int, Headers, int | None], memoryview | None]
"""Where an answer's body goes, told its status, headers and length (None: chunked); None: it is read piece by piece."""
_HEAD = 16 << 10
_LONGEST_HEAD = 64 << 10
_PIECE = 256 << 10
_INTERIM = 8
"""Interim answers (1xx) that are read before an answer is given up."""


class Exchange:
    """A request on its way. `status` and `headers` are there when `start` has returned.

    Raises:
        OSError: the connection failed.
        h11.RemoteProtocolError: what came is no answer, or one whose end cannot be known.
    """

    def __init__(self, wire: Wire) -> None:
        self.wire = wire
        self.status = 0
        self.headers: Headers = []
        self.length: int | None = None
        self.heard = False
        """Whether a byte of the answer has come."""
        self._parser: h11.Connection | None = None
        self._interim = 0
        self._ahead = memoryview(b"")
        self._left: int | None = 0
        self._reusable = False

    async def start(self, method: str, target: bytes, headers: Headers, body: Iterable[memoryview]) -> None:
        """Send the request and read the head of its answer.

        An answer that comes before all is sent ends the sending: it is the one that counts. So does a failed send, if
        the answer can still be read.
        """
        queue = deque((memoryview(write_head(method, target, headers)), *body))
        self._asked = method, target, headers
        failure: OSError | None = None
        try:
            while not await self.wire.send(queue):
                if await self._read_head():
                    break
        except OSError as error:
            failure = error
        while not self.status:
            try:
                await self._read_head()
            except (OSError, h11.RemoteProtocolError):
                if failure is not None:
                    raise failure from None
                raise
        self._frame(method, whole=not queue and failure is None)

    async def _read_head(self) -> bool:
        """Read on to the next head; `False` when it was an interim one."""
        buffer = bytearray(_HEAD)
        if self._parser is None:
            count = await self.wire.read_into(memoryview(buffer))
            self.heard = count > 0
            plain = read_head(buffer, count)
            if plain is not None:
                self.status, self.headers, self._version = plain.status, plain.headers, b"1.1"
                self._ahead = memoryview(buffer)[plain.end : count]
                return True
            method, target, headers = self._asked
            self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
            self._parser.send(h11.Request(method=method, target=target, headers=headers))
            self._parser.receive_data(bytes(buffer[:count]))
        event = self._parser.next_event()
        while event is h11.NEED_DATA:
            count = await self.wire.read_into(memoryview(buffer))
            self._parser.receive_data(bytes(buffer[:count]))
            event = self._parser.next_event()
        if isinstance(event, h11.Response):
            self.status = event.status_code
            self.headers = list(event.headers)
            self._version = event.http_version
            return True
        if not isinstance(event, h11.InformationalResponse) or event.status_code == 101:
            raise h11.RemoteProtocolError("the connection ended before an answer")
        self._interim += 1
        if self._interim > _INTERIM:
            raise h11.RemoteProtocolError("interim answers without an end")
        return False

    def _frame(self, method: str, *, whole: bool) -> None:
        """Find out where the body ends; an answer whose end only the connection's end tells is refused."""
        fields = {name: value for name, value in self.headers if name in _FRAMING}
        closing = b"close" in fields.get(b"connection", b"").lower() or self._version < b"1.1"
        self._reusable = whole and not closing
        if b"transfer-encoding" in fields:
            self.length = self._left = None
        elif b"content-length" in fields:
            self.length = self._left = int(fields[b"content-length"])
        if method == "HEAD" or self.status in (204, 304):
            self.length = self._left = 0
        elif not fields.keys() & {b"transfer-encoding", b"content-length"}:
            raise h11.RemoteProtocolError("an answer that does not say how long it is")
        if self._left is not None and self._parser is not None:
            self._ahead = memoryview(self._parser.trailing_data[0])

    async def read_into(self, target: memoryview) -> None:
        """Fill the target, which is as long as the body, to the end."""
        done = self._take_ahead(target)
        done += await self.wire.fill(target[done:])
        if done < len(target):
            raise h11.RemoteProtocolError(f"the body ended after {done} of {len(target)} bytes")
        self._left = 0

    async def read_piece(self) -> bytes:
        """Return the next bytes of the body; none at its end."""
        if self._left is None:
            return await self._read_chunked()
        if not self._left:
            return b""
        piece = bytearray(min(self._left, _PIECE))
        count = self._take_ahead(memoryview(piece)) or await self.wire.read_into(memoryview(piece))
        if not count:
            raise h11.RemoteProtocolError(f"the body ended with {self._left} bytes to come")
        self._left -= count
        return bytes(memoryview(piece)[:count])

    async def _read_chunked(self) -> bytes:
        parser = self._parser
        if parser is None:
            raise h11.RemoteProtocolError("a body without a length behind a plain head")
        while True:
            event = parser.next_event()
            if event is h11.NEED_DATA:
                buffer = bytearray(_PIECE)
                count = await self.wire.read_into(memoryview(buffer))
                parser.receive_data(bytes(memoryview(buffer)[:count]))
            elif isinstance(event, h11.Data):
                if event.data:
                    return bytes(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._left = 0
                self._ahead = memoryview(parser.trailing_data[0])
                return b""
            else:
                raise h11.RemoteProtocolError("the body ended in the middle")

    def _take_ahead(self, target: memoryview) -> int:
        count = min(len(self._ahead), len(target))
        target[:count] = self._ahead[:count]
        self._ahead = self._ahead[count:]
        return count

    @property
    def reusable(self) -> bool:
        """Whether the answer was read to its end and nothing came with it; what comes later a glance shows."""
        return self._reusable and self._left == 0 and not self._ahead


_FRAMING = (b"connection", b"content-length", b"transfer-encoding")
