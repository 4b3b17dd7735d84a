"""S3's requests for the seven verbs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import unquote, unquote_plus

from packhouse.errors import StorageError
from packhouse.objects.bucket.answers import HeadCheck, Page, Seen, etag_of, listed, read_size, size_of
from packhouse.objects.bucket.requests import body_size
from packhouse.objects.bucket.store import WHOLE, BucketObjects, Condition
from packhouse.objects.bucket.upload import Session
from packhouse.objects.bucket.xml import Element, escape, parse, parse_long
from packhouse.objects.contract import Bytes, ObjectInfo, check_object_name
from packhouse.objects.http import Doubt, Reply
from packhouse.objects.s3.location import parse_url
from packhouse.objects.s3.multipart import WRITE_ID, Multipart
from packhouse.objects.s3.options import S3Options
from packhouse.objects.s3.refusals import error_of
from packhouse.objects.s3.requests import Requests
from packhouse.turns import in_turns

__all__ = ["S3Objects"]

_DELETED_AT_ONCE = 1000
_LARGEST_COPY = 5 << 30


class S3Objects(BucketObjects):
    """A bucket of S3, or what begins with a prefix in it.

    Args:
        url: `s3://bucket/prefix`.
        options: what was chosen; the rest is found as the AWS tools find it.
        client: an `httpx.AsyncClient` or `httpx2.AsyncClient` to go through, in place of our own transport.
    """

    unchecked: ClassVar[str] = f"{BucketObjects.unchecked}; try checksum='md5'"

    def __init__(self, url: str, options: S3Options | None = None, *, client: Any = None) -> None:
        self.options = options or S3Options()
        self.requests = Requests(parse_url(url), self.options, client)
        self._quoted = True
        super().__init__(self.requests, self.options)

    @property
    def quoted(self) -> bool:
        chosen = self.options.quoted_etags
        return self._quoted if chosen is None else chosen

    def requote(self, *, quoted: bool) -> bool:
        self._quoted = quoted
        return self.quoted == quoted

    async def _read(
        self, what: str, name: str, headers: dict[str, str], into: memoryview | None, check: HeadCheck | None
    ) -> Reply:
        headers |= self.requests.customer_key()
        return await self.requests.ask("GET", what, name, headers=headers, into=into, limit=WHOLE, check=check)

    async def _look(self, what: str, name: str) -> Seen:
        headers = self.requests.customer_key()
        try:
            reply = await self.requests.ask("HEAD", what, name, headers=headers)
        except StorageError as error:
            if error.kind not in ("access-denied", "bad-credentials", "refused", "wrong-region"):
                raise
            # an answer to HEAD has no body that says why: GET has
            await self.requests.ask("GET", what, name, headers=headers | {"range": "bytes=0-0"}, limit=1 << 20)
            raise
        return Seen(self._told(name, reply, size_of(reply, name), "last-modified"), reply.headers.get(WRITE_ID, ""))

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
        headers = self.requests.writing()
        if condition is not None:
            quote = '"' if self.quoted else ""
            version = condition.version
            headers |= {"if-none-match": "*"} if version is None else {"if-match": f"{quote}{version}{quote}"}
        if write_id:
            headers[WRITE_ID] = write_id
        reply = await self.requests.ask("PUT", what, name, headers=headers, body=body, doubt=doubt)
        return self._told(name, reply, body_size(body))

    def _session(self, what: str, name: str) -> Session:
        return Multipart(self, what, name)

    async def _remove(self, what: str, name: str) -> None:
        await self.requests.ask("DELETE", what, name)

    async def _remove_many(self, names: list[str]) -> None:
        for start in range(0, len(names), _DELETED_AT_ONCE):
            await self._remove_some(names[start : start + _DELETED_AT_ONCE])

    async def _remove_some(self, names: list[str]) -> None:
        prefix = self.requests.location.prefix
        keys = "".join(f"<Object><Key>{escape(prefix + name)}</Key></Object>" for name in names)
        body = f'<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Quiet>true</Quiet>{keys}</Delete>'.encode()
        digest = base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
        what = f"delete {len(names)} objects of {self.url}"
        headers = {"content-md5": digest, "content-type": "application/xml"}
        reply = await self.requests.ask(
            "POST", what, query={"delete": ""}, headers=headers, body=[body], document=True, hidden=True
        )
        failed = [each for each in parse(reply.body, what).all("Error") if each.get("Code") != "NoSuchKey"]
        if len(failed) == len(names) == 1:
            raise error_of(what, 200, failed[0]).error
        for each in failed:  # one by one: with tries of their own
            key = each.get("Key").removeprefix(prefix)
            if key not in names:
                raise StorageError(f"cannot {what}: the answer names another object", kind="bad-answer")
            await self._remove_one(key)

    async def _page(self, what: str, prefix: str, marker: str) -> Page:
        start = self.requests.location.prefix
        query = {"list-type": "2", "prefix": start + prefix, "encoding-type": "url"}
        if marker:
            query["continuation-token"] = marker
        reply = await self.requests.ask("GET", what, query=query, hidden=True, limit=32 << 20)
        page = await parse_long(reply.body, what)
        decoded = page.get("EncodingType") == "url"
        entries = (_entry(element, start, what, decoded=decoded) for element in page.all("Contents"))
        found = [info for info in await in_turns(entries) if info is not None]
        if page.get("IsTruncated") != "true":
            return Page(found, "")
        token = page.get("NextContinuationToken")
        if not token:
            raise StorageError(f"cannot {what}: the list does not go on", kind="bad-answer")
        return Page(found, token)

    async def _copy(self, what: str, source: str, target: str) -> bool:
        headers = self.requests.writing() | self.requests.customer_key(source=True)
        headers["x-amz-copy-source"] = self.requests.place.source(source)
        size = (await self.look(source)).info.size
        if size > _LARGEST_COPY:
            return False
        await self.requests.ask("PUT", what, target, headers=headers, hidden=True, size=size)
        return True

    async def put_damaged(self, name: str, body: Bytes) -> None:
        wrong = base64.b64encode(b"\0\0\0\1").decode()
        guarded = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD", "x-amz-checksum-crc32": wrong}
        await self.requests.ask("PUT", "write with a wrong checksum", name, body=[body], guarded=guarded)

    async def uploads(self, prefix: str = "") -> Sequence[tuple[str, str]]:
        check_object_name(prefix, prefix=True)
        start = self.requests.location.prefix
        what = f"list the uploads of {self.url}"
        query = {"uploads": "", "prefix": start + prefix}
        found: list[tuple[str, str]] = []
        with self._one_operation() as operation:
            while True:
                reply = await self.requests.ask("GET", what, query=query, hidden=True)
                page = await parse_long(reply.body, what)
                keys = [(each.get("Key"), each.get("UploadId")) for each in page.all("Upload")]
                ours = [(key[len(start) :], upload) for key, upload in keys if key.startswith(start)]
                operation.allow(names=len(ours))
                found += ours
                marker = (page.get("NextKeyMarker"), page.get("NextUploadIdMarker"))
                told = (query.get("key-marker"), query.get("upload-id-marker"))
                if page.get("IsTruncated") != "true" or marker == told:
                    return tuple(found)
                if len(found) > self.most_listed:
                    raise StorageError(f"cannot {what}: the list does not go on", kind="bad-answer")
                query |= {"key-marker": marker[0], "upload-id-marker": marker[1]}


def _entry(element: Element, start: str, what: str, *, decoded: bool) -> ObjectInfo | None:
    """Read one entry of a list; None for what is none of ours (a folder's marker, a name that was never ours)."""
    raw = element.get("Key")
    if decoded:
        raw = next((key for key in (unquote(raw), unquote_plus(raw)) if key.startswith(start)), raw)
    name = listed(raw, start, what)
    if not name:
        return None
    try:
        size = read_size(element.get("Size"))
        modified = datetime.fromisoformat(element.get("LastModified")).timestamp()
    except (ValueError, OverflowError) as error:
        raise StorageError(f"cannot {what}: an entry of the list cannot be read", kind="bad-answer") from error
    return ObjectInfo(name, size, etag_of(element.get("ETag")), modified)
