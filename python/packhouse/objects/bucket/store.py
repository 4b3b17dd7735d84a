"""The seven verbs on any bucket: what a service's own requests are put together to."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractContextManager, AsyncExitStack
from types import TracebackType
from typing import ClassVar, NamedTuple, Self

from packhouse.errors import (
    CommitUncertain,
    InvalidInput,
    NameConflict,
    NameNotFound,
    PackhouseError,
    StorageError,
    UnsupportedStore,
)
from packhouse.objects.bucket.answers import Bounded, HeadCheck, Page, RangeCheck, Seen, time_of, version_of
from packhouse.objects.bucket.options import BucketOptions
from packhouse.objects.bucket.requests import BucketRequests
from packhouse.objects.bucket.upload import Session, Upload
from packhouse.objects.contract import (
    REFUSED,
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
from packhouse.objects.http import Doubt, Operation, Reply, current
from packhouse.together import together

__all__ = ["WHOLE", "BucketObjects", "Condition", "new_write_id"]

WHOLE = 64 << 20
"""Bytes that are read without a length: it is the service that says how many there are."""
_DELETED_AT_ONCE = 16
_MOST_LISTED = 50_000_000
"""Names: more than any store of packs has."""


class Condition(NamedTuple):
    """What must be there for a write to happen."""

    version: str | None
    """That version; nothing, where it is None."""


def new_write_id() -> str:
    """Return what names a write: it decides what became of one whose answer was lost."""
    return secrets.token_hex(16)


class BucketObjects(ObjectStore):
    """A bucket, or what begins with a prefix in it. A service's subclass says how each request is made.

    Args:
        requests: sends them.
        options: what was chosen.
    """

    version_field: ClassVar[str] = "etag"
    """The header that tells an object's version."""
    most_listed: ClassVar[int] = _MOST_LISTED
    """Names after which a list is given up."""
    unchecked: ClassVar[str] = "damage on the way in shows when the bytes are read"
    """What it means that a service takes a wrong checksum."""

    def __init__(self, requests: BucketRequests, options: BucketOptions) -> None:
        self._asking = requests
        self._options = options
        self._stack = AsyncExitStack()

    @property
    def quoted(self) -> bool:
        """Whether versions stand in quotes in conditions."""
        return True

    def requote(self, *, quoted: bool) -> bool:
        """Write versions in conditions so from now on; False where the service has one way, or its user has chosen."""
        del quoted
        return False

    # What each service does in its own way.

    @abstractmethod
    async def _read(
        self, what: str, name: str, headers: dict[str, str], into: memoryview | None, check: HeadCheck | None
    ) -> Reply:
        """Ask for an object's bytes."""

    @abstractmethod
    async def _look(self, what: str, name: str) -> Seen:
        """Ask about an object."""

    @abstractmethod
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
        """Write an object by one request."""

    @abstractmethod
    def _session(self, what: str, name: str) -> Session:
        """Return what sends an object in parts."""

    async def _digest(self, body: Bytes) -> str:
        """Return what a look at an object tells of its bytes besides their number; empty where that is nothing."""
        del body
        return ""

    @abstractmethod
    async def _page(self, what: str, prefix: str, marker: str) -> Page:
        """List from a marker on; from the beginning, where it is empty."""

    @abstractmethod
    async def _remove(self, what: str, name: str) -> None:
        """Delete an object; `NameNotFound` where there is none."""

    async def _remove_many(self, names: list[str]) -> None:
        """Delete objects, none of them twice."""

        async def each() -> AsyncIterator[str]:
            for name in names:
                yield name

        await together(each(), self._remove_one, _DELETED_AT_ONCE)

    @abstractmethod
    async def _copy(self, what: str, source: str, target: str) -> bool:
        """Copy within the bucket."""

    @abstractmethod
    async def put_damaged(self, name: str, body: Bytes) -> None:
        """Write bytes with the checksum of others, to see what the service says."""

    # The verbs.

    @property
    def url(self) -> str:
        return self._asking.shown

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._asking)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    async def get(
        self, name: str, *, start: int = 0, length: int | None = None, into: memoryview | None = None
    ) -> Fetched:
        check_object_name(name)
        with self._one_operation():
            return await self._get(name, start, length, into)

    def _one_operation(self) -> AbstractContextManager[Operation]:
        """Hold all requests within to one deadline."""
        return Operation(self._asking.client.options).begun()

    async def _get(self, name: str, start: int, length: int | None, into: memoryview | None) -> Fetched:
        if length == 0 or start < 0 or (length is not None and length < 0):
            return await self._get_nothing(name, start, length)
        if into is not None:
            into = check_target(into, length if length is not None else into.nbytes, name)
        elif length is not None:
            into = check_target(None, length, name)
        what = f"read {name} of {self.url}"
        headers: dict[str, str] = {}
        check = None
        if start or length is not None:
            headers["range"] = f"bytes={start}-" if length is None else f"bytes={start}-{start + length - 1}"
            check = RangeCheck(what, start, length)
        looked = Bounded(what, WHOLE, check) if length is None and into is None else check
        try:
            reply = await self._read(what, name, headers, into, looked)
        except InvalidInput as error:
            if error.kind != "object-range" or length is not None:
                raise
            return await self._get_nothing(name, start, None)
        size = check.total if check is not None else len(reply.body)
        return Fetched(reply.body, self._told(name, reply, size, "last-modified"))

    async def _get_nothing(self, name: str, start: int, length: int | None) -> Fetched:
        """Answer for an empty range, which no service can be asked for; refuse one that is not within."""
        info = (await self.look(name)).info
        count = check_range(info.size, start, length, name)
        if count:
            raise StorageError(f"cannot read {name} of {self.url}: it changed meanwhile", kind="bad-answer")
        return Fetched(memoryview(b""), info)

    async def put(self, name: str, body: Body) -> ObjectInfo:
        check_object_name(name)
        what, part = f"write {name} of {self.url}", self._options.part_size
        with self._one_operation():
            if isinstance(body, Stream) or memoryview(body).nbytes > part:
                return await Upload(self._session(what, name), name, part).run(body)
            doubt = Doubt()
            try:
                return await self._write(what, name, [body], doubt=doubt)
            except PackhouseError as error:
                if not doubt.any or error.kind not in REFUSED:
                    raise
                message = f"{error} (an earlier try had no answer: it may be written all the same)"
                raise StorageError(message, kind="connection-lost") from error

    async def put_if(self, name: str, body: Bytes, *, version: str | None) -> ObjectInfo:
        check_object_name(name)
        lacking = f"cannot write {name} of {self.url} on a condition: the service has no conditional writes"
        if not self._options.conditional_writes:
            raise UnsupportedStore(lacking, kind="conditional-writes")
        with self._one_operation():
            return await self._put_if(name, body, version, lacking)

    async def _put_if(self, name: str, body: Bytes, version: str | None, lacking: str) -> ObjectInfo:
        write_id, doubt = new_write_id(), Doubt()
        what = f"write {name} of {self.url} on a condition"
        try:
            return await self._write(what, name, [body], write_id=write_id, condition=Condition(version), doubt=doubt)
        except UnsupportedStore as error:
            raise UnsupportedStore(lacking, kind="conditional-writes") from error
        except NameNotFound as error:
            conflict = NameConflict(f"cannot {what}: it is gone; nothing was written", kind="object-conflict")
            if not (doubt.any or doubt.answered):
                raise conflict from error
            return await self._decide(name, body, write_id, error)
        except PackhouseError as error:
            if not (doubt.any or doubt.answered):
                raise
            return await self._decide(name, body, write_id, error)

    async def _decide(self, name: str, body: Bytes, write_id: str, cause: PackhouseError) -> ObjectInfo:
        """Find out whether a conditional write whose answer was lost is what is there now."""
        current(self._options.http).keep_last_words()
        try:
            seen = await self.look(name)
        except NameNotFound:
            seen = None
        except PackhouseError as error:
            raise self._uncertain(name) from error
        size = memoryview(body).nbytes
        if seen is not None and seen.write_id == write_id and seen.holds(size, await self._digest(body)):
            return seen.info
        raise self._uncertain(name) from cause

    def _uncertain(self, name: str) -> CommitUncertain:
        message = f"the answer to writing {name} of {self.url} on a condition was lost, and what is there now does not "
        message += "tell whether it was written; read it and decide anew"
        return CommitUncertain(message, kind="put-uncertain")

    async def settle(
        self, name: str, write_id: str, size: int, failure: PackhouseError, digest: str = ""
    ) -> ObjectInfo:
        """Find out whether an upload whose last answer was lost, or told too little, is there after all.

        Raises:
            PackhouseError: it is not: `failure`.
            StorageError: it is, with other bytes than were sent (`damaged-in-transit`).
        """
        current(self._options.http).keep_last_words()
        try:
            seen = await self.look(name)
        except NameNotFound:
            raise failure from None
        if seen.write_id != write_id:
            raise failure
        if not seen.holds(size, digest):
            message = f"cannot write {name} of {self.url}: the bytes arrived damaged; try again"
            raise StorageError(message, kind="damaged-in-transit") from failure
        return seen.info

    async def delete(self, names: Iterable[str]) -> None:
        checked = list(dict.fromkeys(check_object_name(name) for name in names))
        with self._one_operation() as operation:
            operation.allow(names=len(checked))
            if len(checked) == 1:
                await self._remove_one(checked[0])
            elif checked:
                await self._remove_many(checked)

    async def _remove_one(self, name: str) -> None:
        try:
            await self._remove(f"delete {name} of {self.url}", name)
        except NameNotFound:
            return

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        check_object_name(prefix, prefix=True)
        what = f"list {prefix or 'all'} of {self.url}"
        operation = Operation(self._asking.client.options)
        seen: set[str] = set()
        marker, count = "", 0
        while True:
            with operation.begun(), operation.waiting():  # pages without a name cost us time, too
                page = await self._page(what, prefix, marker)
            operation.allow(names=len(page.found))
            count += len(page.found)
            for info in page.found:
                if info.name.startswith(prefix):
                    yield info
            marker = page.next
            if not marker:
                return
            if marker in seen or count > self.most_listed:
                raise StorageError(f"cannot {what}: the list does not go on", kind="bad-answer")
            seen.add(marker)

    async def head(self, name: str) -> ObjectInfo:
        check_object_name(name)
        with self._one_operation():
            return (await self.look(name)).info

    async def look(self, name: str) -> Seen:
        """Tell about an object, and which write made it."""
        return await self._look(f"look at {name} of {self.url}", name)

    async def copy(self, source: str, target: str) -> bool:
        check_object_name(source)
        check_object_name(target)
        with self._one_operation():
            return await self._copy(f"copy {source} to {target} of {self.url}", source, target)

    async def uploads(self, prefix: str = "") -> Sequence[tuple[str, str]]:
        """Tell the uploads in parts that are under way or were left behind: name and id.

        None of them where the service forgets them by itself.
        """
        check_object_name(prefix, prefix=True)
        return ()

    async def withdraws(self, name: str) -> bool:
        """Begin an upload in parts and give it up, to see whether the service then tells of it no more."""
        check_object_name(name)
        session = self._session(f"begin an upload of {name} of {self.url}", name)
        await session.begin()
        await session.abort()
        return not await self.uploads(name)

    def _told(self, name: str, reply: Reply, size: int, clock: str = "date") -> ObjectInfo:
        """Return what an answer's headers tell about an object."""
        version = version_of(reply.headers, name, self.version_field)
        return ObjectInfo(name, size, version, time_of(reply.headers, clock))
