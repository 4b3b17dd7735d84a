"""One bucket's requests to Google Cloud Storage, on the JSON side: decision 007 says why."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from packhouse.errors import StoreClosed
from packhouse.objects.bucket.location import Location, make_query
from packhouse.objects.bucket.requests import BucketRequests
from packhouse.objects.contract import Bytes
from packhouse.objects.gcs.credentials import Token, find_endpoint, find_token
from packhouse.objects.gcs.options import GCSOptions
from packhouse.objects.gcs.refusals import judge_for
from packhouse.objects.http import Call
from packhouse.objects.http.calls import Judge, Signed

__all__ = ["Requests"]


class Requests(BucketRequests):
    """Sends requests to one bucket.

    Args:
        location: the bucket.
        options: what was chosen.
        client: a client of httpx or httpx2 to go through.
    """

    def __init__(self, location: Location, options: GCSOptions, client: Any = None) -> None:
        super().__init__(f"gs://{location.host}/{location.prefix}".rstrip("/"), options, client)
        self.location = location
        self.options = options
        self._token: Token | None = None
        self._base = ""

    async def prepare(self) -> str | None:
        self._token = await find_token(self.options)
        self._base, _ = find_endpoint(self.options)
        return None

    @property
    def base(self) -> str:
        """Scheme and host."""
        if not self._base:
            raise StoreClosed(f"{self.shown} is not open: use it within `async with`")
        return self._base

    def url_of(self, name: str | None, query: Mapping[str, str] | None) -> str:
        return self.path("/storage/v1", name, query)

    def upload_url(self, query: Mapping[str, str]) -> str:
        """Return where bytes are sent to."""
        return self.path("/upload/storage/v1", None, query)

    def path(self, root: str, name: str | None, query: Mapping[str, str] | None) -> str:
        """Return the URL of an object, or of all of them, on one of the service's doors."""
        key = "" if name is None else f"/{self.encoded(name)}"
        asked = f"?{make_query(query)}" if query else ""
        return f"{self.base}{root}/b/{self.location.host}/o{key}{asked}"

    def encoded(self, name: str) -> str:
        """Return an object as a URL has it: one part of a path."""
        return quote(self.location.prefix + name, safe="-_.~")

    async def dress(
        self, body: Sequence[Bytes] | None, guarded: Mapping[str, str] | None, *, document: bool
    ) -> dict[str, str]:
        del body, document
        sent = {"host": self.base.partition("://")[2], **(guarded or {})}
        if self.options.user_project is not None:
            sent["x-goog-user-project"] = self.options.user_project
        return sent

    async def sign(self, call: Call) -> Signed:
        token = await self._token() if self._token is not None else None
        if token is None:
            return Signed(call.url, call.headers)
        return Signed(call.url, {**call.headers, "authorization": f"Bearer {token}"})

    def judge(self, call: Call, *, hidden: bool) -> Judge:
        del hidden
        return judge_for(call)

    def customer_key(self, *, source: bool = False) -> dict[str, str]:
        """Return the headers that carry the caller's own key."""
        key = self.options.customer_key
        if key is None:
            return {}
        start = "x-goog-copy-source-encryption" if source else "x-goog-encryption"
        return {
            f"{start}-algorithm": "AES256",
            f"{start}-key": base64.b64encode(key).decode(),
            f"{start}-key-sha256": base64.b64encode(hashlib.sha256(key).digest()).decode(),
        }

    def writing(self) -> dict[str, str]:
        """Return what the query says about how an object is kept."""
        return {"kmsKeyName": self.options.kms_key} if self.options.kms_key is not None else {}
