"""The transport behind httpx's public interface: connections by host, kept while they are good.

Only direct http:// and https://, HTTP/1.1. Whoever sends decides how many requests are in flight.
"""

from __future__ import annotations

import ssl
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import anyio
import h11
import httpx
from anyio import to_thread

from packhouse.errors import PackhouseError
from packhouse.objects.http.bodies import Buffers
from packhouse.objects.http.connecting import connect, make_context
from packhouse.objects.http.exchange import Exchange, Headers, Target
from packhouse.objects.http.wires import Wire

__all__ = ["AGAIN", "FILLED", "TARGET", "Transport"]

TARGET = "packhouse.target"
"""The request's extension that holds a `Target`: where the body goes."""
AGAIN = "packhouse.again"
"""The request's extension that is asked, and so told, before it is sent twice; without it GET, HEAD and OPTIONS are."""
FILLED = "packhouse.filled"
"""The answer's extension that tells how many bytes went into the target."""
_IDLE = 20.0
_KEPT = 64
_Origin = tuple[str, str, int]


class Transport(httpx.AsyncBaseTransport):
    """Carries requests for an `httpx.AsyncClient`, or by itself.

    A body that is a `Buffers` goes out uncopied; an answer of known length goes straight into memory that the request's
    extension `packhouse.target` gives. A kept connection is looked at before it is used again; one on which the server
    hung up before a byte of the answer is replaced once, if the request may be sent twice.

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
        """Send one request and read its answer's head, or all of it into the target.

        Raises:
            httpx.TransportError: as httpx's own transports do.
        """
        origin = _origin_of(request)
        wire = self._reuse(origin)
        if wire is not None:
            exchange = Exchange(wire)
            try:
                return await self._talk(exchange, origin, request)
            except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
                if exchange.heard or not isinstance(request.stream, Buffers | httpx.ByteStream) or not _again(request):
                    raise
        return await self._talk(Exchange(await self._connect(origin, request)), origin, request)

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

    async def _connect(self, origin: _Origin, request: httpx.Request) -> Wire:
        scheme, host, port = origin
        try:
            with anyio.fail_after(_timeout(request, "connect")):
                if scheme == "https" and self._context is None:
                    self._context = await to_thread.run_sync(make_context, self._ca)
                return await connect(host, port, self._context if scheme == "https" else None)
        except TimeoutError as error:
            raise httpx.ConnectTimeout(f"no connection to {host}", request=request) from error
        except OSError as error:
            raise httpx.ConnectError(f"no connection to {host}: {error}", request=request) from error

    async def _talk(self, exchange: Exchange, origin: _Origin, request: httpx.Request) -> httpx.Response:
        kept = False
        try:
            try:
                with anyio.fail_after(_timeout(request, "read")):
                    body = await _body(request)
                    await exchange.start(request.method, request.url.raw_path, _headers_of(request, body), body)
                extensions, stream = await self._receive(exchange, origin, request)
            except TimeoutError as error:
                raise httpx.ReadTimeout("no answer in time", request=request) from error
            except h11.RemoteProtocolError as error:
                raise httpx.RemoteProtocolError(str(error), request=request) from error
            except h11.LocalProtocolError as error:
                raise httpx.LocalProtocolError(str(error), request=request) from error
            except PackhouseError:
                raise  # the target's: some are OSErrors
            except OSError as error:
                raise httpx.ReadError(str(error), request=request) from error
            kept = True
        finally:
            if not kept:
                exchange.wire.close()
        return httpx.Response(exchange.status, headers=exchange.headers, stream=stream, extensions=extensions)

    async def _receive(
        self, exchange: Exchange, origin: _Origin, request: httpx.Request
    ) -> tuple[dict[str, object], httpx.AsyncByteStream]:
        """Read the body into its target, if it has one."""
        extensions: dict[str, object] = {"http_version": b"HTTP/1.1"}
        target: Target | None = request.extensions.get(TARGET)
        if target is not None and exchange.length is not None:
            view = target(exchange.status, exchange.headers, exchange.length)
            if view is not None:
                if len(view) != exchange.length:
                    raise h11.RemoteProtocolError(f"{exchange.length} bytes came for {len(view)}")
                await exchange.read_into(view)
                self._release(exchange, origin)
                extensions[FILLED] = exchange.length
                return extensions, httpx.ByteStream(b"")
        if exchange.length == 0:
            self._release(exchange, origin)
            return extensions, httpx.ByteStream(b"")
        return extensions, _Incoming(exchange, self, origin, request)


class _Incoming(httpx.AsyncByteStream):
    """A body that is read piece by piece."""

    def __init__(self, exchange: Exchange, transport: Transport, origin: _Origin, request: httpx.Request) -> None:
        self._exchange: Exchange | None = exchange
        self._transport = transport
        self._origin = origin
        self._request = request

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self  # no generator: one that is left before its end is trio's to complain of

    async def __anext__(self) -> bytes:
        exchange = self._exchange
        if exchange is None:
            raise StopAsyncIteration
        try:
            with anyio.fail_after(_timeout(self._request, "read")):
                piece = await exchange.read_piece()
        except TimeoutError as error:
            raise httpx.ReadTimeout("the body came too slowly", request=self._request) from error
        except h11.RemoteProtocolError as error:
            raise httpx.RemoteProtocolError(str(error), request=self._request) from error
        except OSError as error:
            raise httpx.ReadError(str(error), request=self._request) from error
        if not piece:
            raise StopAsyncIteration
        return piece

    async def aclose(self) -> None:
        """Keep the connection if the body was read to its end, close it otherwise."""
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            self._transport._release(exchange, self._origin)  # noqa: SLF001 - of the same file


def _origin_of(request: httpx.Request) -> _Origin:
    url = request.url
    if url.scheme not in ("http", "https"):
        raise httpx.UnsupportedProtocol(f"{url.scheme}:// is not spoken here", request=request)
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def _headers_of(request: httpx.Request, body: list[memoryview]) -> Headers:
    """Return the headers as they are sent; a length that is not the body's would make the next request of its end."""
    headers = [(name.lower(), value) for name, value in request.headers.raw]
    size = b"%d" % sum(view.nbytes for view in body)
    if any(name == b"transfer-encoding" for name, _ in headers):
        headers = [pair for pair in headers if pair[0] not in (b"transfer-encoding", b"content-length")]
        headers.append((b"content-length", size))
    told = [value for name, value in headers if name == b"content-length"] or [b"0"]
    if any(value != size for value in told):
        raise httpx.LocalProtocolError(f"a body of {size!r} bytes, and {told!r} are announced", request=request)
    if not any(name == b"host" for name, _ in headers):
        headers.insert(0, (b"host", request.url.netloc))
    return headers


async def _body(request: httpx.Request) -> list[memoryview]:
    """Return what is sent; a stream that is none of ours is read first: what has no length is not sent."""
    if isinstance(request.stream, Buffers):
        return request.stream.views
    whole = await request.aread()
    return [memoryview(whole)] if whole else []


def _again(request: httpx.Request) -> bool:
    """Say whether a request that may have arrived is sent once more."""
    asked: Callable[[], bool] | None = request.extensions.get(AGAIN)
    return request.method in ("GET", "HEAD", "OPTIONS") if asked is None else asked()


def _timeout(request: httpx.Request, kind: str) -> float | None:
    timeouts: dict[str, float | None] = request.extensions.get("timeout") or {}
    return timeouts.get(kind)
