"""One bucket's requests: built, signed, sent, judged. What every verb of `S3Objects` is made of."""

from __future__ import annotations

import base64
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Any, Self

from packhouse.errors import StoreClosed
from packhouse.objects.contract import Bytes
from packhouse.objects.http import Call, Doubt, HttpClient, Reply
from packhouse.objects.s3.credentials import Identity, find_identity
from packhouse.objects.s3.guarding import guard
from packhouse.objects.s3.location import Place, S3Location
from packhouse.objects.s3.options import S3Options
from packhouse.objects.s3.refusals import judge_for
from packhouse.objects.s3.signing import sign_headers

__all__ = ["Requests"]

_EMPTY = hashlib.sha256().hexdigest()


class Requests:
    """Sends requests to one bucket. Used within `async with`.

    Args:
        location: the bucket.
        options: what was chosen.
        client: a client of httpx or httpx2 to go through.
    """

    def __init__(self, location: S3Location, options: S3Options, client: Any = None) -> None:
        self.location = location
        self.options = options
        self._client_given = client
        self._client: HttpClient | None = None
        self._identity: Identity | None = None
        self._place: Place | None = None
        self._stack = AsyncExitStack()
        self.count = 0
        """Requests that were asked for; tries again are not counted."""

    async def __aenter__(self) -> Self:
        identity = await find_identity(self.options)
        http = replace(self.options.http, ca=identity.ca)
        self._client = await self._stack.enter_async_context(HttpClient(http, client=self._client_given))
        self._place = Place.find(self.location, identity.endpoint, identity.region, path_style=self.options.path_style)
        self._identity = identity
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client = None
        await self._stack.aclose()

    @property
    def place(self) -> Place:
        """Where requests go.

        Raises:
            StoreClosed: used outside of `async with`.
        """
        if self._place is None or self._client is None:
            raise StoreClosed(f"{self.location.url} is not open: use it within `async with`")
        return self._place

    @property
    def client(self) -> HttpClient:
        """What sends them."""
        if self._client is None:
            raise StoreClosed(f"{self.location.url} is not open: use it within `async with`")
        return self._client

    async def ask(
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
        check: Callable[[int, Mapping[str, str], int | None], None] | None = None,
        hidden: bool = False,
        doubt: Doubt | None = None,
    ) -> Reply:
        """Send one request.

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
            check: looks at a good answer's head before its body is read.
            hidden: whether a good status may hide an error.
            doubt: told whether a try may have had its effect.
        """
        place = self.place
        sent: dict[str, str] = {"host": place.host, "accept-encoding": "identity", "user-agent": "packhouse"}
        sent["x-amz-content-sha256"] = _EMPTY
        if body is not None:
            signed = place.base.startswith("http://")
            digest = "none" if document else self.options.checksum
            sent |= guarded or (await guard(body, digest, signed=signed)).headers
        if body is not None or method in ("PUT", "POST"):
            sent["content-length"] = str(sum(memoryview(buffer).nbytes for buffer in body or ()))
        if self.options.requester_pays:
            sent["x-amz-request-payer"] = "requester"
        if self.options.expected_bucket_owner:
            sent["x-amz-expected-bucket-owner"] = self.options.expected_bucket_owner
        call = Call(
            method=method,
            url=place.url(name, query),
            what=what,
            headers=sent | dict(headers or {}),
            body=body or (),
            into=into,
            limit=limit,
            size=into.nbytes if into is not None else 0,
            doubt=doubt or Doubt(),
            check=check,
        )
        self.count += 1
        return await self.client.fetch(call, self._sign, judge_for(call, hidden=hidden))

    async def _sign(self, call: Call) -> Mapping[str, str]:
        identity = self._identity
        credentials = await identity.credentials() if identity is not None else None
        if credentials is None or identity is None:
            return {name: value for name, value in call.headers.items() if name != "x-amz-content-sha256"}
        return sign_headers(credentials, identity.region, call.method, call.url, call.headers)

    def writing(self) -> dict[str, str]:
        """Return the headers that say how an object is kept."""
        options = self.options
        headers = self.customer_key()
        if options.sse is not None:
            headers["x-amz-server-side-encryption"] = options.sse
        if options.sse_kms_key_id is not None:
            headers["x-amz-server-side-encryption-aws-kms-key-id"] = options.sse_kms_key_id
        if options.storage_class is not None:
            headers["x-amz-storage-class"] = options.storage_class
        return headers

    def customer_key(self, *, source: bool = False) -> dict[str, str]:
        """Return the headers that carry the caller's own key (SSE-C)."""
        key = self.options.sse_customer_key
        if key is None:
            return {}
        start = "x-amz-copy-source-server-side-encryption" if source else "x-amz-server-side-encryption"
        digest = hashlib.md5(key, usedforsecurity=False).digest()
        return {
            f"{start}-customer-algorithm": "AES256",
            f"{start}-customer-key": base64.b64encode(key).decode(),
            f"{start}-customer-key-md5": base64.b64encode(digest).decode(),
        }


def time_of(headers: Mapping[str, str], field: str = "date") -> float:
    """Return the time that a header tells; the service's clock, or ours if it tells none."""
    try:
        return parsedate_to_datetime(headers[field]).timestamp()
    except (KeyError, ValueError):
        return time.time()
