"""The seven verbs on a bucket."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack
from datetime import datetime
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote, unquote_plus

from packhouse.errors import (
    CommitUncertain,
    InvalidInput,
    NameConflict,
    NameNotFound,
    PackhouseError,
    StorageError,
    UnsupportedStore,
)
from packhouse.objects.contract import (
    Body,
    Bytes,
    Fetched,
    ObjectInfo,
    ObjectStore,
    Stream,
    check_object_name,
    check_range,
    check_target,
)
from packhouse.objects.http import Doubt, Reply
from packhouse.objects.s3.answers import RangeCheck, etag_of, size_of, version_of
from packhouse.objects.s3.location import parse_url
from packhouse.objects.s3.multipart import Upload
from packhouse.objects.s3.options import S3Options
from packhouse.objects.s3.refusals import error_of
from packhouse.objects.s3.requests import Requests, time_of
from packhouse.objects.s3.xml import Element, escape, parse

__all__ = ["S3Objects"]

WRITE_ID = "x-amz-meta-packhouse-write"
"""Names the write that made an object: it decides what became of one whose answer was lost."""
_WHOLE = 64 << 20
_DELETED_AT_ONCE = 1000
_LARGEST_COPY = 5 << 30


class S3Objects(ObjectStore):
    """A bucket, or what begins with a prefix in it.

    Args:
        url: `s3://bucket/prefix`.
        options: what was chosen; the rest is found as the AWS tools find it.
        client: an `httpx.AsyncClient` or `httpx2.AsyncClient` to go through, in place of our own transport.
    """

    def __init__(self, url: str, options: S3Options | None = None, *, client: Any = None) -> None:
        self.options = options or S3Options()
        self.requests = Requests(parse_url(url), self.options, client)
        self._stack = AsyncExitStack()

    @property
    def url(self) -> str:
        return self.requests.location.url

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self.requests)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def get(
        self, name: str, *, start: int = 0, length: int | None = None, into: memoryview | None = None
    ) -> Fetched:
        check_object_name(name)
        if length == 0 or start < 0 or (length is not None and length < 0):
            return await self._get_nothing(name, start, length)
        if into is not None:
            check_target(into, length if length is not None else into.nbytes, name)
        elif length is not None:
            into = check_target(None, length, name)
        headers = self.requests.customer_key()
        if start or length is not None:
            headers["range"] = f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"
        what = f"read {name} of {self.url}"
        check = RangeCheck(what, start, length) if "range" in headers else None
        try:
            reply = await self.requests.ask("GET", what, name, headers=headers, into=into, limit=_WHOLE, check=check)
        except InvalidInput as error:
            if error.kind != "object-range" or length is not None:
                raise
            return await self._get_nothing(name, start, None)
        size = check.total if check is not None else len(reply.body)
        return Fetched(reply.body, self._info(name, reply, size, "last-modified"))

    async def _get_nothing(self, name: str, start: int, length: int | None) -> Fetched:
        """Answer for an empty range, which S3 cannot be asked for; refuse one that is not within."""
        info = await self.head(name)
        count = check_range(info.size, start, length, name)
        if count:
            raise StorageError(f"cannot read {name} of {self.url}: it changed meanwhile", kind="bad-answer")
        return Fetched(memoryview(b""), info)

    async def put(self, name: str, body: Body) -> ObjectInfo:
        check_object_name(name)
        part = self.options.part_size
        if isinstance(body, Stream) or memoryview(body).nbytes > part:
            headers = {WRITE_ID: secrets.token_hex(16)}
            return await Upload(self, name, headers).run(body)
        return await self.put_small(name, [body])

    async def put_small(self, name: str, body: list[Bytes]) -> ObjectInfo:
        """Write an object by one request."""
        headers = self.requests.writing()
        reply = await self.requests.ask("PUT", f"write {name} of {self.url}", name, headers=headers, body=body)
        return self._info(name, reply, sum(memoryview(piece).nbytes for piece in body))

    async def put_if(self, name: str, body: Bytes, *, version: str | None) -> ObjectInfo:
        check_object_name(name)
        if not self.options.conditional_writes:
            message = f"cannot write {name} of {self.url} on a condition: the service has no conditional writes"
            raise UnsupportedStore(message, kind="conditional-writes")
        write_id = secrets.token_hex(16)
        quote = '"' if self.options.quoted_etags else ""
        condition = {"if-none-match": "*"} if version is None else {"if-match": f"{quote}{version}{quote}"}
        headers = self.requests.writing() | condition | {WRITE_ID: write_id}
        doubt = Doubt()
        what = f"write {name} of {self.url} on a condition"
        try:
            reply = await self.requests.ask("PUT", what, name, headers=headers, body=[body], doubt=doubt)
        except UnsupportedStore as error:
            message = f"cannot {what}: the service has no conditional writes"
            raise UnsupportedStore(message, kind="conditional-writes") from error
        except NameNotFound as error:
            conflict = NameConflict(f"cannot {what}: it is gone; nothing was written", kind="object-conflict")
            return await self._decide(name, write_id, doubt, conflict, error)
        except PackhouseError as error:
            return await self._decide(name, write_id, doubt, error, error)
        return self._info(name, reply, memoryview(body).nbytes)

    async def _decide(
        self, name: str, write_id: str, doubt: Doubt, failure: PackhouseError, cause: PackhouseError
    ) -> ObjectInfo:
        """Find out whether a conditional write whose answer was lost is what is there now."""
        if not doubt.any:
            raise failure from cause
        try:
            reply = await self._ask_head(name)
        except NameNotFound:
            reply = None
        except PackhouseError as error:
            raise self._uncertain(name) from error
        if reply is not None and reply.headers.get(WRITE_ID) == write_id:
            return self._info(name, reply, size_of(reply, name), "last-modified")
        raise self._uncertain(name) from cause

    def _uncertain(self, name: str) -> CommitUncertain:
        message = f"the answer to writing {name} of {self.url} on a condition was lost, and what is there now does not "
        message += "tell whether it was written; read it and decide anew"
        return CommitUncertain(message, kind="put-uncertain")

    async def delete(self, names: Iterable[str]) -> None:
        checked = list(dict.fromkeys(check_object_name(name) for name in names))
        if len(checked) == 1:
            await self._delete_one(checked[0])
            return
        for start in range(0, len(checked), _DELETED_AT_ONCE):
            await self._delete_some(checked[start : start + _DELETED_AT_ONCE])

    async def _delete_one(self, name: str) -> None:
        try:
            await self.requests.ask("DELETE", f"delete {name} of {self.url}", name)
        except NameNotFound:
            return

    async def _delete_some(self, names: list[str]) -> None:
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
            await self._delete_one(key)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        check_object_name(prefix, prefix=True)
        start = self.requests.location.prefix
        query = {"list-type": "2", "prefix": start + prefix, "encoding-type": "url"}
        what = f"list {prefix or 'all'} of {self.url}"
        seen: set[str] = set()
        while True:
            reply = await self.requests.ask("GET", what, query=query, hidden=True, limit=32 << 20)
            page = parse(reply.body, what)
            decoded = page.get("EncodingType") == "url"
            for element in page.all("Contents"):
                info = _listed(element, start, what, decoded=decoded)
                if info is not None and info.name.startswith(prefix):
                    yield info
            token = page.get("NextContinuationToken")
            if page.get("IsTruncated") != "true":
                return
            if not token or token in seen:
                raise StorageError(f"cannot {what}: the list does not go on", kind="bad-answer")
            seen.add(token)
            query["continuation-token"] = token

    async def head(self, name: str) -> ObjectInfo:
        check_object_name(name)
        reply = await self._ask_head(name)
        return self._info(name, reply, size_of(reply, name), "last-modified")

    async def _ask_head(self, name: str) -> Reply:
        what = f"look at {name} of {self.url}"
        headers = self.requests.customer_key()
        try:
            return await self.requests.ask("HEAD", what, name, headers=headers)
        except StorageError as error:
            if error.kind not in ("access-denied", "bad-credentials", "refused", "wrong-region"):
                raise
            # an answer to HEAD has no body that says why: GET has
            await self.requests.ask("GET", what, name, headers=headers | {"range": "bytes=0-0"}, limit=1 << 20)
            raise

    async def copy(self, source: str, target: str) -> bool:
        check_object_name(source)
        check_object_name(target)
        place = self.requests.place
        headers = self.requests.writing() | self.requests.customer_key(source=True)
        headers["x-amz-copy-source"] = place.source(source)
        what = f"copy {source} to {target} of {self.url}"
        if (await self.head(source)).size > _LARGEST_COPY:
            return False
        await self.requests.ask("PUT", what, target, headers=headers, hidden=True)
        return True

    async def uploads(self, prefix: str = "") -> Sequence[tuple[str, str]]:
        """Tell the uploads in parts that are under way or were left behind: name and id."""
        check_object_name(prefix, prefix=True)
        start = self.requests.location.prefix
        what = f"list the uploads of {self.url}"
        query = {"uploads": "", "prefix": start + prefix}
        found: tuple[tuple[str, str], ...] = ()
        while True:
            page = parse((await self.requests.ask("GET", what, query=query, hidden=True)).body, what)
            for each in page.all("Upload"):
                key = each.get("Key")
                if key.startswith(start):
                    found += ((key[len(start) :], each.get("UploadId")),)
            marker = (page.get("NextKeyMarker"), page.get("NextUploadIdMarker"))
            if page.get("IsTruncated") != "true" or marker == (query.get("key-marker"), query.get("upload-id-marker")):
                return found
            query |= {"key-marker": marker[0], "upload-id-marker": marker[1]}

    def _info(self, name: str, reply: Reply, size: int, clock: str = "date") -> ObjectInfo:
        return ObjectInfo(name, size, version_of(reply.headers, name), time_of(reply.headers, clock))


def _listed(element: Element, start: str, what: str, *, decoded: bool) -> ObjectInfo | None:
    """Read one entry of a list; None for what is none of ours (a folder's marker, a name that was never ours)."""
    raw = element.get("Key")
    for key in (unquote_plus(raw), unquote(raw)) if decoded else (raw,):
        if key.startswith(start):
            break
    else:
        raise StorageError(f"cannot {what}: the list holds what was not asked for", kind="bad-answer")
    name = key[len(start) :]
    try:
        check_object_name(name)
        size = int(element.get("Size"))
        modified = datetime.fromisoformat(element.get("LastModified")).timestamp()
    except InvalidInput:
        return None
    except ValueError as error:
        raise StorageError(f"cannot {what}: an entry of the list cannot be read", kind="bad-answer") from error
    return ObjectInfo(name, size, etag_of(element.get("ETag")), modified)
