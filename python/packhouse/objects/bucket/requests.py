"""A bucket's requests: built, signed, sent, judged. What every verb is made of."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from types import TracebackType
from typing import Any, ClassVar, Self

import anyio

from packhouse.errors import StorageError, StoreClosed
from packhouse.objects.bucket.options import BucketOptions
from packhouse.objects.contract import Bytes
from packhouse.objects.http import Call, Doubt, HttpClient, Reply
from packhouse.objects.http.calls import Judge, Signed

__all__ = ["BucketRequests", "body_size"]


class BucketRequests(ABC):
    """Sends requests to one bucket. Used within `async with`.

    Args:
        shown: the bucket's URL, as messages show it.
        options: what was chosen.
        client: a client of httpx or httpx2 to go through.
    """

    sized: ClassVar[tuple[str, ...]] = ("PUT", "POST")
    """Methods that say their body's length when they have none, too."""

    def __init__(self, shown: str, options: BucketOptions, client: Any = None) -> None:
        self.shown = shown
        self._http = options.http
        self._client_given = client
        self._client: HttpClient | None = None
        self._stack = AsyncExitStack()
        self.count = 0
        """Requests that were asked for; tries again are not counted."""

    async def __aenter__(self) -> Self:
        try:
            with anyio.fail_after(self._http.deadline):
                ca = await self.prepare()
        except TimeoutError as error:
            message = f"cannot open {self.shown}: its credentials were not read within {self._http.deadline:.0f} s; "
            raise StorageError(message + "try again, or raise the deadline", kind="deadline") from error
        http = replace(self._http, ca=ca) if ca else self._http
        self._client = await self._stack.enter_async_context(HttpClient(http, client=self._client_given))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = None
        await self._stack.aclose()

    @abstractmethod
    async def prepare(self) -> str | None:
        """Find out where the service is and who we are; return a file of certificates, if one was found."""

    @abstractmethod
    def url_of(self, name: str | None, query: Mapping[str, str] | None) -> str:
        """Return the URL of an object, or of the bucket; no secret in it."""

    @abstractmethod
    async def dress(
        self, body: Sequence[Bytes] | None, guarded: Mapping[str, str] | None, *, document: bool
    ) -> dict[str, str]:
        """Return the headers that every request has, and those that guard its body."""

    @abstractmethod
    async def sign(self, call: Call) -> Signed:
        """Return the URL and the headers of one try."""

    @abstractmethod
    def judge(self, call: Call, *, hidden: bool) -> Judge:
        """Return who judges the replies to a call; `hidden` where a good status may hide an error."""

    @property
    def client(self) -> HttpClient:
        """What sends them.

        Raises:
            StoreClosed: used outside of `async with`.
        """
        if self._client is None:
            raise StoreClosed(f"{self.shown} is not open: use it within `async with`")
        return self._client

    async def ask(self, method: str, what: str, name: str | None = None, *, hidden: bool = False, **more: Any) -> Reply:
        """Send one request: as `call` says it; `hidden` where a good status may hide an error."""
        return await self.send(await self.call(method, what, name, **more), hidden=hidden)

    async def send(self, call: Call, *, hidden: bool = False) -> Reply:
        """Send what was built."""
        self.count += 1
        return await self.client.fetch(call, self.sign, self.judge(call, hidden=hidden))

    async def call(
        self,
        method: str,
        what: str,
        name: str | None = None,
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: Sequence[Bytes] | None = None,
        document: bool = False,
        guarded: Mapping[str, str] | None = None,
        into: memoryview | None = None,
        limit: int = 8 << 20,
        size: int = 0,
        check: Callable[[int, Mapping[str, str], int | None], None] | None = None,
        doubt: Doubt | None = None,
        url: str | None = None,
        renew: Callable[[], Awaitable[Call | Reply]] | None = None,
    ) -> Call:
        """Build one request.

        Args:
            method: the verb of HTTP.
            what: the operation and the name, for messages.
            name: the object; None for the bucket.
            query: not encoded.
            headers: besides those that every request has; lower-case names.
            body: what is sent.
            document: whether the body is a document about an object, not the object's bytes.
            guarded: the headers that guard the body, where they were computed before.
            into: where a good answer's body goes.
            limit: bytes of an answer.
            size: bytes that the service moves by itself before it answers, for the deadline.
            check: looks at a good answer's head before its body is read.
            doubt: told whether a try may have had its effect.
            url: where it goes, instead of what name and query say.
            renew: what is sent instead, from the second try on.
        """
        sent = {"accept-encoding": "identity", "user-agent": "packhouse"}
        sent |= await self.dress(body, guarded, document=document)
        if body is not None or method in self.sized:
            sent["content-length"] = str(body_size(body or ()))
        return Call(
            method=method,
            url=url or self.url_of(name, query),
            what=what,
            headers=sent | dict(headers or {}),
            body=body or (),
            into=into,
            limit=limit,
            size=into.nbytes if into is not None else size,
            doubt=doubt or Doubt(),
            check=check,
            renew=renew,
        )


def body_size(body: Sequence[Bytes]) -> int:
    """Return the bytes of a body."""
    return sum(memoryview(buffer).nbytes for buffer in body)
