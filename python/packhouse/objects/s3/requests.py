"""One bucket's requests to S3."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from packhouse.errors import StoreClosed
from packhouse.objects.bucket.requests import BucketRequests
from packhouse.objects.contract import Bytes
from packhouse.objects.http import Call
from packhouse.objects.http.calls import Judge, Signed
from packhouse.objects.s3.credentials import Identity, find_identity
from packhouse.objects.s3.guarding import guard
from packhouse.objects.s3.location import Place, S3Location
from packhouse.objects.s3.options import S3Options
from packhouse.objects.s3.refusals import judge_for
from packhouse.objects.s3.signing import sign_headers

__all__ = ["Requests"]

_EMPTY = hashlib.sha256().hexdigest()


class Requests(BucketRequests):
    """Sends requests to one bucket.

    Args:
        location: the bucket.
        options: what was chosen.
        client: a client of httpx or httpx2 to go through.
    """

    def __init__(self, location: S3Location, options: S3Options, client: Any = None) -> None:
        super().__init__(location.url, options, client)
        self.location = location
        self.options = options
        self._identity: Identity | None = None
        self._place: Place | None = None

    async def prepare(self) -> str | None:
        identity = await find_identity(self.options)
        self._place = Place.find(self.location, identity.endpoint, identity.region, path_style=self.options.path_style)
        self._identity = identity
        return identity.ca

    @property
    def place(self) -> Place:
        """Where requests go.

        Raises:
            StoreClosed: used outside of `async with`.
        """
        if self._place is None:
            raise StoreClosed(f"{self.shown} is not open: use it within `async with`")
        return self._place

    def url_of(self, name: str | None, query: Mapping[str, str] | None) -> str:
        return self.place.url(name, query)

    async def dress(
        self, body: Sequence[Bytes] | None, guarded: Mapping[str, str] | None, *, document: bool
    ) -> dict[str, str]:
        place, options = self.place, self.options
        sent = {"host": place.host, "x-amz-content-sha256": _EMPTY}
        if body is not None:
            signed = place.base.startswith("http://")
            digest = "none" if document else options.checksum
            sent |= guarded or (await guard(body, digest, signed=signed)).headers
        if options.requester_pays:
            sent["x-amz-request-payer"] = "requester"
        if options.expected_bucket_owner:
            sent["x-amz-expected-bucket-owner"] = options.expected_bucket_owner
        return sent

    async def sign(self, call: Call) -> Signed:
        identity = self._identity
        credentials = await identity.credentials() if identity is not None else None
        if credentials is None or identity is None:
            plain = {name: value for name, value in call.headers.items() if name != "x-amz-content-sha256"}
            return Signed(call.url, plain)
        return Signed(call.url, sign_headers(credentials, identity.region, call.method, call.url, call.headers))

    def judge(self, call: Call, *, hidden: bool) -> Judge:
        return judge_for(call, hidden=hidden)

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
