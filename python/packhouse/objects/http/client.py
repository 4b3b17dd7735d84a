"""What every request goes through: one deadline, tries again by class of error, a bound on what is in flight.

No redirect is followed, nothing is decoded, and our transport keeps no cookie: a 3xx and an
encoded body are answers to judge.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import anyio
import httpx

from packhouse.errors import InvalidInput, PackhouseError, StorageError
from packhouse.objects.http.bodies import Buffers
from packhouse.objects.http.calls import Call, Fault, Judge, Reply, Sign, Signed
from packhouse.objects.http.gate import Budget, Gate
from packhouse.objects.http.hedging import Outcome, hedged
from packhouse.objects.http.operation import Allowance, current
from packhouse.objects.http.options import HttpOptions
from packhouse.objects.http.pools import connections_of, places_of
from packhouse.objects.http.quiet import hushed
from packhouse.objects.http.receiving import Receiving
from packhouse.objects.http.transport import Asked, Transport
from packhouse.objects.http.troubles import describe

__all__ = ["HttpClient"]

_log = logging.getLogger("packhouse.http")
_LOOPBACK = ("localhost", "127.0.0.1", "::1")
_FIRST_WAIT = 0.1
_LONGEST_WAIT = 5.0
_DOUBLINGS = 10
_GOOD = (200, 206)


class HttpClient:
    """Sends calls and returns what was answered. Used within `async with`.

    Args:
        options: how patient it is.
        client: an `httpx.AsyncClient` or `httpx2.AsyncClient` to go through; its owner closes it.
    """

    def __init__(self, options: HttpOptions | None = None, *, client: Any = None) -> None:
        self.options = options or HttpOptions()
        self._handed_in = client
        self._client: Any = client
        self._transport: Transport | None = None
        self._stack = AsyncExitStack()
        self.gate = Gate(self.options.concurrency)
        self.budget = Budget()

    async def __aenter__(self) -> Self:
        options = self.options
        if self._handed_in is not None:
            most = min(options.concurrency, connections_of(self._handed_in))
            self.gate = Gate(most, places_of(self._handed_in))
        elif options.proxy or options.http2 or options.trust_env:
            client = _stock(options, await anyio.to_thread.run_sync(_context, options.ca))
            self._client = await self._stack.enter_async_context(client)
        else:
            # A file that somebody names is read at once: what is wrong with it is no fault of the network.
            context = await anyio.to_thread.run_sync(_context, options.ca) if options.ca is not None else None
            self._transport = await self._stack.enter_async_context(Transport(context=context))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()
        self._transport = None
        self._client = self._handed_in

    async def fetch(self, call: Call, sign: Sign, judge: Judge) -> Reply:
        """Send a call until there is an answer.

        Raises:
            PackhouseError: the judge's error, or what the network did; within the operation's deadline in any case.
        """
        self._check(call.url)
        operation = current(self.options)
        last: PackhouseError | None = None
        busy = False
        tried = failed = 0
        try:
            with operation.asking(_size_of(call)) as allowance:
                while True:
                    if tried and call.renew is not None:
                        renewed = await call.renew()
                        if isinstance(renewed, Reply):
                            return renewed
                        call = renewed
                    outcome = await self._attempt(call, sign, judge, allowance)
                    if isinstance(outcome, Reply):
                        return outcome
                    fault, wait = outcome
                    last, busy = fault.error, fault.throttled and wait < allowance.left
                    failed += not fault.throttled  # who is told to wait waits until the deadline
                    if not (fault.again and call.again) or failed >= self.options.tries:
                        raise last
                    if not (fault.throttled or self.budget.spend()):  # what is throttled waits at the gate
                        raise last
                    longest = min(_FIRST_WAIT * 2 ** min(tried, _DOUBLINGS), _LONGEST_WAIT)
                    tried += 1
                    backoff = longest * random.uniform(0.5, 1)  # noqa: S311 - spreads tries, guards nothing
                    await anyio.sleep(max(backoff, wait))
                    busy = False
        except TimeoutError as error:
            if last is not None and busy:
                raise last from error
            reason = f" (last: {last})" if last is not None else ""
            within = f"within {operation.patience:.0f} s"
            message = f"cannot {call.what}: no answer {within}{reason}; try again, or raise the deadline"
            raise StorageError(message, kind="deadline") from (last or error)

    async def _attempt(self, call: Call, sign: Sign, judge: Judge, allowance: Allowance) -> Outcome:
        """Send once or, where reads are hedged and the answer is slow to begin, twice."""

        async def attempt(one: Call) -> Outcome:
            return await self._try(one, sign, judge, allowance)

        if self.options.hedge is None or call.method != "GET" or not call.again:
            return await attempt(call)
        return await hedged(attempt, call, self.options.hedge, self.budget.spend)

    async def _try(self, call: Call, sign: Sign, judge: Judge, allowance: Allowance) -> Outcome:
        """Send once; return the reply, or what is wrong and how long the service wants to be left alone."""
        async with self.gate.slot():
            started = time.monotonic()
            async with self.gate.beginning:
                pass
            signed = await sign(call)
            with anyio.move_on_after(self.options.answer + _size_of(call) / self.options.slowest) as scope:
                try:
                    reply = await self._send(call, signed, scope, allowance)
                except Exception as error:  # noqa: BLE001 - the one door: whatever a client raises
                    fault = self._explain(error, call)
                    _log.debug("%s %s: %s", call.method, call.what, fault.error.kind)
                    return fault, 0.0
                except anyio.get_cancelled_exc_class():
                    call.doubt.any = True
                    raise
            if scope.cancelled_caught:
                message = f"cannot {call.what}: the answer did not come in time; try again, or raise the deadline"
                return Fault(StorageError(message, kind="deadline"), again=True), 0.0
            _log.debug("%s %s: %d, %.0f ms", call.method, call.what, reply.status, 1e3 * (time.monotonic() - started))
        wrong = judge(reply)
        if wrong is None:
            self.budget.earn()
            self.gate.went_well()
            call.doubt.answered = True
            return reply
        if wrong.throttled:
            self.gate.throttled()
        if (reply.status >= 500 or reply.status == 200) and not wrong.undone:
            call.doubt.any = True
        return wrong, _retry_after(reply.headers)

    async def _send(self, call: Call, signed: Signed, scope: anyio.CancelScope, allowance: Allowance) -> Reply:
        url, headers = signed
        body = Buffers(call.body)

        def more(length: int, status: int) -> None:
            scope.deadline = max(
                scope.deadline, anyio.current_time() + self.options.answer + length / self.options.slowest
            )
            if call.method == "GET" and status in _GOOD:
                allowance.expect(length)

        def again() -> bool:
            call.doubt.any = True
            return call.again and call.renew is None

        receiving = Receiving(call, more)
        if self._transport is not None:
            fields = [(name.encode("ascii"), value.encode("ascii")) for name, value in headers.items()]
            asked = Asked(call.method, url, fields, body.views, again, receiving.target)
            return await receiving.take(await self._transport.send(asked))
        if self._client is None:
            raise InvalidInput("the client is used outside of `async with`", kind="invalid")
        # Stock httpx takes surplus bytes behind an answer for the next one. HTTP/2 has none, and does not send this.
        headers = {**headers, "connection": "close"}
        with hushed():
            content = body if body.size else None
            request = self._client.build_request(call.method, url, headers=headers, content=content, timeout=None)
            response = await self._client.send(request, stream=True, auth=None, follow_redirects=False)
            return await receiving.read(response)

    def _explain(self, error: Exception, call: Call) -> Fault:
        if isinstance(error, PackhouseError):
            call.doubt.any = True
            return Fault(error, again=error.kind == "bad-answer")
        trouble = describe(error, call.what, urlsplit(call.url).netloc)
        if trouble.sent:
            call.doubt.any = True
        return Fault(trouble.error, again=trouble.again)

    def _check(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme == "http" and not self._stays_here(parts.hostname or "") and not self.options.plain_http:
            message = f"http://{parts.netloc} is not encrypted: use https://, or ask for it by `plain_http=True`"
            raise InvalidInput(message, kind="plain-http")

    def _stays_here(self, host: str) -> bool:
        """Say whether a host is this machine: of `*.localhost` our transport makes sure, others ask the network."""
        return host in _LOOPBACK or (host.endswith(".localhost") and self._transport is not None)


def _size_of(call: Call) -> int:
    """Return the bytes that go and come."""
    return call.size + sum(memoryview(buffer).nbytes for buffer in call.body)


def _context(ca: str | None) -> Any:
    from packhouse.objects.http.connecting import make_context  # noqa: PLC0415 - reads certificates

    return make_context(ca)


def _stock(options: HttpOptions, context: Any) -> httpx.AsyncClient:
    """Return a client of httpx's own.

    Raises:
        InvalidInput: it cannot be had. The message does not repeat a proxy's URL: it may hold a password.
    """
    limits = httpx.Limits(max_connections=options.concurrency, max_keepalive_connections=options.concurrency)
    ways: dict[str, Any] = {"proxy": options.proxy, "http2": options.http2, "trust_env": options.trust_env}
    if not options.plain_http:  # what is allowed because it stays on this host stays on it
        ways["mounts"] = {f"http://[{host}]" if ":" in host else f"http://{host}": None for host in _LOOPBACK}
    try:
        return httpx.AsyncClient(verify=context, limits=limits, **ways)
    except ImportError as error:
        message = f"httpx lacks {error.name or 'a package'} for this proxy or HTTP/2: pip install 'httpx[socks,http2]'"
        raise InvalidInput(message, kind="option") from None
    except (ValueError, httpx.InvalidURL):
        message = "the proxy, of the options or of the environment, cannot be used: it is http(s)://host:port"
        raise InvalidInput(message, kind="option") from None


def _retry_after(headers: Mapping[str, str]) -> float:
    """Return the seconds that the service wants to be left alone."""
    told = headers.get("retry-after", "")
    try:
        if told.isdigit():
            return float(told)
        return max(0.0, parsedate_to_datetime(told).timestamp() - time.time()) if told else 0.0
    except (ValueError, OverflowError):
        return 0.0
