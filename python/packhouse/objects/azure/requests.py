"""One container's requests to Azure Blob Storage."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import quote

from packhouse.errors import StoreClosed
from packhouse.objects.azure.credentials import Identity, find_identity
from packhouse.objects.azure.location import AzureLocation, encode_blob
from packhouse.objects.azure.options import AzureOptions
from packhouse.objects.azure.refusals import judge_for
from packhouse.objects.azure.signing import sign_request
from packhouse.objects.bucket.location import make_query
from packhouse.objects.bucket.requests import BucketRequests, body_size
from packhouse.objects.contract import Bytes
from packhouse.objects.http import Call
from packhouse.objects.http.calls import Judge, Signed
from packhouse.objects.threads import run_out

__all__ = ["VERSION", "Requests"]

VERSION = "2023-11-03"
"""Of the service's behaviour: pinned, because it decides what everything means."""
_LONG = 128 << 10


class Requests(BucketRequests):
    """Sends requests to one container.

    Args:
        location: the container.
        options: what was chosen.
        client: a client of httpx or httpx2 to go through.
    """

    def __init__(self, location: AzureLocation, options: AzureOptions, client: Any = None) -> None:
        super().__init__(location.url, options, client)
        self.location = location
        self.options = options
        self._identity: Identity | None = None

    async def prepare(self) -> str | None:
        self._identity = await find_identity(self.options, self.location.account)
        return None

    @property
    def identity(self) -> Identity:
        """Who we are."""
        if self._identity is None:
            raise StoreClosed(f"{self.shown} is not open: use it within `async with`")
        return self._identity

    def url_of(self, name: str | None, query: Mapping[str, str] | None) -> str:
        key = "" if name is None else f"/{quote(encode_blob(self.location.prefix + name), safe='/-_.~')}"
        asked = f"?{make_query(query)}" if query else ""
        return f"{self.identity.base}/{self.location.container}{key}{asked}"

    def source(self, name: str) -> str:
        """Return what a copy names as its source: with a signature, where that is how we sign."""
        return _with(self.url_of(name, None), self.identity.sas)

    async def dress(
        self, body: Sequence[Bytes] | None, guarded: Mapping[str, str] | None, *, document: bool
    ) -> dict[str, str]:
        del document
        sent = {"host": self.identity.base.partition("://")[2].partition("/")[0], "x-ms-version": VERSION}
        if guarded is not None:
            return sent | dict(guarded)
        if body is not None:
            long = body_size(body) > _LONG
            sent["content-md5"] = await run_out(lambda: _md5(body)) if long else _md5(body)
        return sent

    async def sign(self, call: Call) -> Signed:
        identity = self.identity
        if identity.sas:
            return Signed(_with(call.url, identity.sas), call.headers)
        headers = {**call.headers, "x-ms-date": formatdate(usegmt=True)}
        if identity.key is not None:
            signature = sign_request(identity.account, identity.key, call.method, call.url, headers)
            headers["authorization"] = signature
        elif identity.token is not None:
            headers["authorization"] = f"Bearer {await identity.token()}"
        return Signed(call.url, headers)

    def judge(self, call: Call, *, hidden: bool) -> Judge:
        del hidden
        return judge_for(call)

    def customer_key(self) -> dict[str, str]:
        """Return the headers that carry the caller's own key."""
        key = self.options.customer_key
        if key is None:
            return {}
        return {
            "x-ms-encryption-algorithm": "AES256",
            "x-ms-encryption-key": base64.b64encode(key).decode(),
            "x-ms-encryption-key-sha256": base64.b64encode(hashlib.sha256(key).digest()).decode(),
        }

    def keeping(self) -> dict[str, str]:
        """Return the headers that say how bytes are encrypted: of every request that writes some."""
        scope = self.options.encryption_scope
        return self.customer_key() | ({"x-ms-encryption-scope": scope} if scope is not None else {})

    def writing(self) -> dict[str, str]:
        """Return the headers that say how an object is kept."""
        tier = self.options.access_tier
        return self.keeping() | ({"x-ms-access-tier": tier} if tier is not None else {})


def _with(url: str, sas: str) -> str:
    if not sas:
        return url
    return f"{url}{'&' if '?' in url else '?'}{sas}"


def _md5(body: Sequence[Bytes]) -> str:
    digest = hashlib.md5(usedforsecurity=False)
    for piece in body:
        digest.update(piece)
    return base64.b64encode(digest.digest()).decode()
