"""Azure's requests for the seven verbs."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Any

from packhouse.errors import StorageError
from packhouse.objects.azure.blocks import WRITE_ID, Blocks
from packhouse.objects.azure.location import decode_blob, encode_blob, parse_url
from packhouse.objects.azure.options import AzureOptions
from packhouse.objects.azure.requests import Requests
from packhouse.objects.bucket.answers import HeadCheck, Page, Seen, etag_of, listed, read_size, size_of
from packhouse.objects.bucket.requests import body_size
from packhouse.objects.bucket.store import WHOLE, BucketObjects, Condition
from packhouse.objects.bucket.upload import Session
from packhouse.objects.bucket.xml import Element, parse_long
from packhouse.objects.contract import Bytes, ObjectInfo
from packhouse.objects.http import Doubt, Reply, current
from packhouse.turns import in_turns

__all__ = ["AzureObjects"]

_COPIES_SECONDS = 0.5


class AzureObjects(BucketObjects):
    """A container of Azure Blob Storage, or what begins with a prefix in it.

    Args:
        url: `az://account/container/prefix`.
        options: what was chosen; the rest is found as Azure's tools find it.
        client: an `httpx.AsyncClient` or `httpx2.AsyncClient` to go through, in place of our own transport.
    """

    def __init__(self, url: str, options: AzureOptions | None = None, *, client: Any = None) -> None:
        self.options = options or AzureOptions()
        self.requests = Requests(parse_url(url), self.options, client)
        super().__init__(self.requests, self.options)

    async def _read(
        self, what: str, name: str, headers: dict[str, str], into: memoryview | None, check: HeadCheck | None
    ) -> Reply:
        headers |= self.requests.customer_key()
        return await self.requests.ask("GET", what, name, headers=headers, into=into, limit=WHOLE, check=check)

    async def _look(self, what: str, name: str) -> Seen:
        reply = await self._head(what, name)
        return Seen(self._told(name, reply, size_of(reply, name), "last-modified"), reply.headers.get(WRITE_ID, ""))

    async def _head(self, what: str, name: str) -> Reply:
        return await self.requests.ask("HEAD", what, name, headers=self.requests.customer_key())

    async def _write(
        self,
        what: str,
        name: str,
        body: list[Bytes],
        *,
        write_id: str = "",
        condition: Condition | None = None,
        doubt: Doubt | None = None,
    ) -> ObjectInfo:
        headers = self.requests.writing() | {"x-ms-blob-type": "BlockBlob", "content-type": "application/octet-stream"}
        if condition is not None:
            version = condition.version
            headers |= {"if-none-match": "*"} if version is None else {"if-match": f'"{version}"'}
        if write_id:
            headers[WRITE_ID] = write_id
        reply = await self.requests.ask("PUT", what, name, headers=headers, body=body, doubt=doubt)
        return self._told(name, reply, body_size(body))

    def _session(self, what: str, name: str) -> Session:
        return Blocks(self, what, name)

    async def _remove(self, what: str, name: str) -> None:
        await self.requests.ask("DELETE", what, name)

    async def _page(self, what: str, prefix: str, marker: str) -> Page:
        start = self.requests.location.prefix
        query = {"restype": "container", "comp": "list", "prefix": encode_blob(start + prefix, whole=False)}
        if marker:
            query["marker"] = marker
        reply = await self.requests.ask("GET", what, query=query, limit=32 << 20)
        page = await parse_long(reply.body, what)
        blobs = next(page.all("Blobs"), None)
        if page.name != "EnumerationResults" or blobs is None:
            raise StorageError(f"cannot {what}: the answer is no list", kind="bad-answer")
        entries = (_entry(blob, start, what) for blob in blobs.all("Blob"))
        return Page([info for info in await in_turns(entries) if info is not None], page.get("NextMarker"))

    async def _copy(self, what: str, source: str, target: str) -> bool:
        operation = current(self.options.http)
        operation.allow((await self.look(source)).info.size)
        headers = {"x-ms-copy-source": self.requests.source(source), **self.requests.writing()}
        if self.options.customer_key is not None:
            return False
        try:
            reply = await self.requests.ask("PUT", what, target, headers=headers)
        except StorageError as error:
            if error.kind not in ("access-denied", "bad-credentials"):
                raise
            return False  # the service may not read the source on our behalf
        while reply.headers.get("x-ms-copy-status") == "pending":
            await operation.pause(_COPIES_SECONDS)
            reply = await self._head(what, target)
        if reply.headers.get("x-ms-copy-status") != "success":
            raise StorageError(f"cannot {what}: the service gave up", kind="service-failed")
        return True

    async def put_damaged(self, name: str, body: Bytes) -> None:
        headers = {"x-ms-blob-type": "BlockBlob"}
        wrong = {"content-md5": "AAAAAAAAAAAAAAAAAAAAAA=="}
        await self.requests.ask("PUT", "write with a wrong checksum", name, headers=headers, body=[body], guarded=wrong)


def _entry(blob: Element, start: str, what: str) -> ObjectInfo | None:
    """Read one entry of a list; None for what is none of ours."""
    name = listed(decode_blob(blob.get("Name")), start, what)
    told = next(blob.all("Properties"), None)
    if not name or told is None:
        return None
    try:
        size = read_size(told.get("Content-Length"))
        modified = parsedate_to_datetime(told.get("Last-Modified")).timestamp()
    except (ValueError, OverflowError) as error:
        raise StorageError(f"cannot {what}: an entry of the list cannot be read", kind="bad-answer") from error
    return ObjectInfo(name, size, etag_of(told.get("Etag") or told.get("ETag")), modified)
