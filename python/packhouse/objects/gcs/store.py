"""Google Cloud Storage's requests for the seven verbs, on its JSON side."""

from __future__ import annotations

import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any, ClassVar

import orjson

from packhouse.errors import InvalidInput, NameConflict, NameNotFound, StorageError
from packhouse.objects.bucket.answers import HeadCheck, Page, Seen, listed, read_size, time_of
from packhouse.objects.bucket.location import Location, make_query, read_url
from packhouse.objects.bucket.requests import body_size
from packhouse.objects.bucket.store import WHOLE, BucketObjects, Condition
from packhouse.objects.bucket.upload import Session
from packhouse.objects.contract import Bytes, ObjectInfo
from packhouse.objects.gcs.hashing import Hash
from packhouse.objects.gcs.options import GCSOptions
from packhouse.objects.gcs.requests import Requests
from packhouse.objects.gcs.resumable import Resumable
from packhouse.objects.http import Doubt, Reply, current
from packhouse.turns import in_turns

__all__ = ["GCSObjects", "parse_url"]

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]")
_WRITE_ID = "packhouse-write"
_FIELDS = "name,size,generation,updated"
_PAGE = "1000"
_TRANSCODED = "the service decompresses it on the way: it is stored with a Content-Encoding that packhouse never sets"


def parse_url(url: str) -> Location:
    """Read `gs://bucket/prefix`.

    Raises:
        InvalidInput: it is no such URL.
    """
    location = read_url(url, "gs")
    if not _BUCKET.fullmatch(location.host):
        raise InvalidInput(f"{location.host[:80]!a} is no bucket", kind="url")
    return location


class GCSObjects(BucketObjects):
    """A bucket of Google Cloud Storage, or what begins with a prefix in it. Versions are generations.

    Args:
        url: `gs://bucket/prefix`.
        options: what was chosen; the rest is found as Google's tools find it.
        client: an `httpx.AsyncClient` or `httpx2.AsyncClient` to go through, in place of our own transport.
    """

    version_field: ClassVar[str] = "x-goog-generation"
    unchecked: ClassVar[str] = "this client compares what the service says it got, and removes what differs"

    def __init__(self, url: str, options: GCSOptions | None = None, *, client: Any = None) -> None:
        self.options = options or GCSOptions()
        self.requests = Requests(parse_url(url), self.options, client)
        super().__init__(self.requests, self.options)

    async def _read(
        self, what: str, name: str, headers: dict[str, str], into: memoryview | None, check: HeadCheck | None
    ) -> Reply:
        def plain(status: int, fields: Mapping[str, str], length: int | None) -> None:
            if fields.get("x-goog-stored-content-encoding", "identity").lower() not in ("", "identity"):
                raise StorageError(f"cannot {what}: {_TRANSCODED}", kind="bad-answer")
            if check is not None:
                check(status, fields, length)

        return await self.requests.ask(
            "GET",
            what,
            name,
            query={"alt": "media"},
            headers=headers | self.requests.customer_key(),
            into=into,
            limit=WHOLE,
            check=plain,
        )

    async def _look(self, what: str, name: str) -> Seen:
        field = Hash(self.options.checksum).field
        query = {"fields": f"{_FIELDS},metadata,{field}"}
        reply = await self.requests.ask("GET", what, name, query=query, headers=self.requests.customer_key())
        found = _object(reply, what)
        metadata = found.get("metadata")
        write_id = metadata.get(_WRITE_ID, "") if isinstance(metadata, dict) else ""
        return Seen(_info(found, name, what), str(write_id), str(found.get(field, "")))

    async def _digest(self, body: Bytes) -> str:
        digest = Hash(self.options.checksum)
        await digest.update([body])
        return digest.text

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
        digest = Hash(self.options.checksum)
        await digest.update(body)
        described = self.described(name, write_id) | {digest.field: digest.text}
        reply = await self._send(what, body, described, condition, doubt)
        return await self.accept(what, name, reply, body_size(body), digest)

    async def _send(
        self,
        what: str,
        body: list[Bytes],
        described: dict[str, Any],
        condition: Condition | None = None,
        doubt: Doubt | None = None,
    ) -> Reply:
        """Send a description and the bytes, in one request of two parts."""
        border = secrets.token_hex(16).encode()
        head = b"--%s\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n%s\r\n" % (
            border,
            orjson.dumps(described),
        )
        head += b"--%s\r\ncontent-type: application/octet-stream\r\n\r\n" % border
        tail = b"\r\n--%s--\r\n" % border
        query = {"uploadType": "multipart"} | self.requests.writing()
        if condition is not None:
            query["ifGenerationMatch"] = condition.version or "0"
        headers = {"content-type": f"multipart/related; boundary={border.decode()}", **self.requests.customer_key()}
        url = self.requests.upload_url(query)
        return await self.requests.ask("POST", what, url=url, headers=headers, body=[head, *body, tail], doubt=doubt)

    def described(self, name: str, write_id: str) -> dict[str, Any]:
        """Return what is said about a new object. Not to be cached: a public one would be, for an hour."""
        told: dict[str, Any] = {"name": self.requests.location.prefix + name, "cacheControl": "no-store, no-transform"}
        if write_id:
            told["metadata"] = {_WRITE_ID: write_id}
        if self.options.storage_class is not None:
            told["storageClass"] = self.options.storage_class
        return told

    async def accept(self, what: str, name: str, reply: Reply, size: int, digest: Hash) -> ObjectInfo:
        """Hold what the service says it has got against what was sent; what differs is removed.

        Raises:
            StorageError: it was damaged on the way (`damaged-in-transit`).
        """
        found = _object(reply, what)
        info = _info(found, name, what)
        if info.size == size and found.get(digest.field, digest.text) == digest.text:
            return info._replace(modified=time_of(reply.headers))
        query = {"ifGenerationMatch": info.version}
        with suppress(NameNotFound, NameConflict):
            await self.requests.ask("DELETE", f"remove a damaged {name} of {self.url}", name, query=query)
        message = f"cannot {what}: the bytes arrived damaged, and were removed; try again"
        raise StorageError(message, kind="damaged-in-transit")

    def _session(self, what: str, name: str) -> Session:
        return Resumable(self, what, name)

    async def _remove(self, what: str, name: str) -> None:
        await self.requests.ask("DELETE", what, name)

    async def _page(self, what: str, prefix: str, marker: str) -> Page:
        start = self.requests.location.prefix
        query = {"prefix": start + prefix, "maxResults": _PAGE, "fields": f"nextPageToken,items({_FIELDS})"}
        if marker:
            query["pageToken"] = marker
        page = _object(await self.requests.ask("GET", what, query=query, limit=32 << 20), what)
        items = page.get("items", [])
        if not isinstance(items, list):
            raise StorageError(f"cannot {what}: the list cannot be read", kind="bad-answer")
        entries = (_entry(item, start, what) for item in items)
        found = [info for info in await in_turns(entries) if info is not None]
        return Page(found, str(page.get("nextPageToken", "")))

    async def _copy(self, what: str, source: str, target: str) -> bool:
        requests = self.requests
        path = f"/rewriteTo/b/{requests.location.host}/o/{requests.encoded(target)}"
        headers = requests.customer_key() | requests.customer_key(source=True)
        query = dict(requests.writing())
        if requests.options.kms_key is not None:
            query = {"destinationKmsKeyName": requests.options.kms_key}
        while True:
            url = requests.url_of(source, None) + path
            url += f"?{make_query(query)}" if query else ""
            reply = await requests.ask("POST", what, url=url, headers=headers)
            found = _object(reply, what)
            token = found.get("rewriteToken")
            if found.get("done") is True:
                return True
            if not token or token == query.get("rewriteToken"):
                raise StorageError(f"cannot {what}: the service does not go on", kind="bad-answer")
            size = str(found.get("objectSize", ""))
            if "rewriteToken" not in query and re.fullmatch("[0-9]{1,15}", size):
                current(self.options.http).allow(int(size))
            query["rewriteToken"] = str(token)

    async def put_damaged(self, name: str, body: Bytes) -> None:
        digest = Hash(self.options.checksum)  # of no bytes
        await self._send("write with a wrong checksum", [body], self.described(name, "") | {digest.field: digest.text})


def _object(reply: Reply, what: str) -> dict[str, Any]:
    try:
        found = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        found = None
    if isinstance(found, dict):
        return found
    raise StorageError(f"cannot {what}: the answer is no JSON that can be used", kind="bad-answer")


def _entry(item: object, start: str, what: str) -> ObjectInfo | None:
    """Read one entry of a list; None for what is none of ours."""
    if not isinstance(item, dict):
        item = {}
    name = listed(str(item.get("name", "")), start, what)
    return _info(item, name, what) if name else None


def _info(found: dict[str, Any], name: str, what: str) -> ObjectInfo:
    """Read an object's description."""
    try:
        size, version = read_size(found["size"]), str(int(found["generation"]))
        return ObjectInfo(name, size, version, datetime.fromisoformat(found["updated"]).timestamp())
    except (KeyError, TypeError, ValueError) as error:
        raise StorageError(f"cannot {what}: the answer does not describe an object", kind="bad-answer") from error
