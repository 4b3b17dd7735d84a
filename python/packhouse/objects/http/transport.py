"""The transport behind httpx's public interface: connections by host, kept while they are good.

Only direct http:// and https://, HTTP/1.1. Whoever sends decides how many requests are in flight.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import lru_cache
from types import TracebackType
from typing import NamedTuple, Self

import anyio
import h11
import httpx
from anyio import to_thread

from packhouse.errors import PackhouseError
from packhouse.objects.http.bodies import Buffers
from packhouse.objects.http.connecting import connect, make_context
from packhouse.objects.http.exchange import Exchange, Headers, Target
from packhouse.objects.http.wires import Wire

__all__ = ["Answer", "Asked", "Transport"]

_IDLE = 20.0
_KEPT = 64
_Origin = tuple[str, str, int]


class _Place(NamedTuple):
    """Where a request goes."""

    origin: _Origin
    netloc: bytes
    path: bytes


class Asked(NamedTuple):
    """A request, as it is sent."""

    method: str
    url: str
    """In ASCII, without a fragment."""
    headers: Sequence[tuple[bytes, bytes]]
    """Lower-case names."""
    body: Sequence[memoryview]
    again: Callable[[], bool]
    """Asked, and so told, before it is sent twice."""
    target: Target | None = None
    connect: float | None = None
    """Seconds for a connection."""
    read: float | None = None
    """Seconds for the head, and for each piece of a body without a target."""


class Answer(NamedTuple):
    """What came: all of it, or a head whose body is to be read."""

    status: int
    headers: Headers
    stream: httpx.AsyncByteStream | None
    """The body; None where it went into the target."""

    def response(self) -> httpx.Response:
        """Return it as httpx has it."""
        stream = self.stream or httpx.ByteStream(b"")
        extensions = {"http_version": b"HTTP/1.1"}
        return httpx.Response(self.status, headers=self.headers, stream=stream, extensions=extensions)


class Transport(httpx.AsyncBaseTransport):
    """Carries requests for an `httpx.AsyncClient`, or by itself.

    A body that is a `Buffers` goes out uncopied; an answer of known length goes straight into memory that the request's
    target gives. A kept connection is looked at before it is used again; one on which the server hung up before a byte
    of the answer is replaced once, if the request may be sent twice.

    Args:
        ca: a file of certificates to trust besides the system's.
        context: the whole decision whom to trust, instead.
    """

    def __init__(self, *, ca: str | None = None, context: ssl.SSLContext | None = None) -> None:
        self._ca = ca
        self._context = context
        self._kept: dict[_Origin, list[Wire]] = {}
        self._closed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close every connection that is kept."""
        self._closed = True
        for wires in self._kept.values():
            for wire in wires:
                wire.close()
        self._kept.clear()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request of httpx's and read its answer's head.

        Raises:
            httpx.TransportError: as httpx's own transports do.
        """
        return (await self.send(await _asked(request))).response()

    async def send(self, asked: Asked) -> Answer:
        """Send one request and read its answer's head, or all of it into the target.

        Raises:
            httpx.TransportError: as httpx's own transports do.
        """
        place = _place_of(asked.url)
        wire = self._reuse(place.origin)
        if wire is not None:
            exchange = Exchange(wire)
            try:
                return await self._talk(exchange, place, asked)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                if exchange.heard or not asked.again():
                    raise
        return await self._talk(Exchange(await self._connect(place.origin, asked)), place, asked)

    def _reuse(self, origin: _Origin) -> Wire | None:
        """Take a kept connection that is silent; drop those that are not."""
        wires = self._kept.get(origin, [])
        while wires:
            wire = wires.pop()
            if time.monotonic() - wire.idle_since < _IDLE and wire.glance() == "silent":
                return wire
            wire.close()
        return None

    def _release(self, exchange: Exchange, origin: _Origin) -> None:
        """Keep the connection if it can be used again."""
        wire = exchange.wire
        wires = self._kept.setdefault(origin, [])
        if exchange.reusable and len(wires) < _KEPT and not self._closed:
            wire.idle_since = time.monotonic()
            wires.append(wire)
        else:
            wire.close()

    async def _connect(self, origin: _Origin, asked: Asked) -> Wire:
        scheme, host, port = origin
        try:
            with anyio.fail_after(asked.connect):
                if scheme == "https" and self._context is None:
                    self._context = await to_thread.run_sync(make_context, self._ca)
                return await connect(host, port, self._context if scheme == "https" else None)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection to {host}") from error
        except OSError as error:
            raise httpx.ConnectError(f"no connection to {host}: {error}") from error

    async def _talk(self, exchange: Exchange, place: _Place, asked: Asked) -> Answer:
        kept = False
        try:
            try:
                headers = _headers_of(asked, place.netloc)
                if asked.read is None:
                    await exchange.start(asked.method, place.path, headers, asked.body)
                else:
                    with anyio.fail_after(asked.read):
                        await exchange.start(asked.method, place.path, headers, asked.body)
                stream = await self._receive(exchange, place.origin, asked)
            except TimeoutError as error:
                raise httpx.ReadTimeout("no answer in time") from error
            except h11.RemoteProtocolError as error:
                raise httpx.RemoteProtocolError(str(error)) from error
            except h11.LocalProtocolError as error:
                raise httpx.LocalProtocolError(str(error)) from error
            except PackhouseError:
                raise  # the target's: some are OSErrors
            except OSError as error:
                raise httpx.ReadError(str(error)) from error
            kept = True
        finally:
            if not kept:
                exchange.wire.close()
        return Answer(exchange.status, exchange.headers, stream)

    async def _receive(self, exchange: Exchange, origin: _Origin, asked: Asked) -> httpx.AsyncByteStream | None:
        """Read the body into its target, if it has one; return what reads it otherwise."""
        if asked.target is not None and exchange.length is not None:
            view = asked.target(exchange.status, exchange.headers, exchange.length)
            if view is not None:
                if len(view) != exchange.length:
                    raise h11.RemoteProtocolError(f"{exchange.length} bytes came for {len(view)}")
                await exchange.read_into(view)
                self._release(exchange, origin)
                return None
        if exchange.length == 0:
            self._release(exchange, origin)
            return httpx.ByteStream(b"")
        return _Incoming(exchange, self, origin, asked.read)


class _Incoming(httpx.AsyncByteStream):
    """A body that is read piece by piece."""

    def __init__(self, exchange: Exchange, transport: Transport, origin: _Origin, patience: float | None) -> None:
        self._exchange: Exchange | None = exchange
        self._transport = transport
        self._origin = origin
        self._patience = patience

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self  # no generator: one that is left before its end is trio's to complain of

    async def __anext__(self) -> bytes:
        exchange = self._exchange
        if exchange is None:
            raise StopAsyncIteration
        try:
            with anyio.fail_after(self._patience):
                piece = await exchange.read_piece()
        except TimeoutError as error:
            raise httpx.ReadTimeout("the body came too slowly") from error
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error)) from error
        except OSError as error:
            raise httpx.ReadError(str(error)) from error
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Keep the connection if the body was read to its end, close it otherwise."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._transport._release(exchange, self._origin)  # noqa: SLF001 - of the same file


def _place_of(url: str) -> _Place:
    """Take a URL apart. What stands behind its path may be a secret, and is kept nowhere."""
    start, mark, query = url.partition("?")
    place = _place_of_path(start)
    return place._replace(path=place.path + f"?{query}".encode("ascii")) if mark else place


@lru_cache(maxsize=256)
def _place_of_path(url: str) -> _Place:
    """Take a URL without a query apart: of one pack many parts are read."""
    parts = httpx.URL(url)
    if parts.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"{parts.scheme}:// is not spoken here")
    origin = parts.scheme, parts.host, parts.port or (443 if parts.scheme == "https" else 80)
    return _Place(origin, parts.netloc, parts.raw_path)


def _headers_of(asked: Asked, netloc: bytes) -> Headers:
    """Return the headers as they are sent; a length that is not the body's would make the next request of its end."""
    headers = list(asked.headers)
    names = [name for name, _ in headers]
    size = b"%d" % sum(view.nbytes for view in asked.body)
    if b"transfer-encoding" in names:
        headers = [pair for pair in headers if pair[0] not in (b"transfer-encoding", b"content-length")]
        headers.append((b"content-length", size))
    told = [value for name, value in headers if name == b"content-length"] or [b"0"]
    if any(value != size for value in told):
        raise httpx.LocalProtocolError(f"a body of {size!r} bytes, and {told!r} are announced")
    if b"host" not in names:
        headers.insert(0, (b"host", netloc))
    return headers


async def _asked(request: httpx.Request) -> Asked:
    """Return a request of httpx's; a stream that is none of ours is read first: what has no length is not sent."""
    timeouts: dict[str, float | None] = request.extensions.get("timeout") or {}
    stream, body = request.stream, b""
    if not isinstance(stream, Buffers):
        try:
            with anyio.fail_after(timeouts.get("read")):
                body = await request.aread()
        except TimeoutError as error:
            raise httpx.ReadTimeout("what is sent did not come in time") from error
    return Asked(
        method=request.method,
        url=str(request.url.copy_with(fragment=None)),
        headers=[(name.lower(), value) for name, value in request.headers.raw],
        body=stream.views if isinstance(stream, Buffers) else [memoryview(body)] if body else [],
        again=lambda: request.method in ("GET", "HEAD", "OPTIONS"),
        connect=timeouts.get("connect"),
        read=timeouts.get("read"),
    )
