"""An upload in parts: one fills while some are on their way, and these are all the memory it takes."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING

import anyio

from packhouse.errors import NameNotFound, PackhouseError, StorageError
from packhouse.objects.contract import Body, Bytes, ObjectInfo, Stream, check_size
from packhouse.objects.http import Doubt, Reply
from packhouse.objects.s3.answers import etag_of, version_of
from packhouse.objects.s3.guarding import guard
from packhouse.objects.s3.requests import time_of
from packhouse.objects.s3.xml import escape, parse

if TYPE_CHECKING:
    from packhouse.objects.s3.store import S3Objects

__all__ = ["Upload"]

_MOST_PARTS = 10_000
_ABORT_SECONDS = 10.0
_ALGORITHMS = {"crc32": "CRC32", "sha256": "SHA256"}


class Upload:
    """One object on its way; whatever goes wrong, its parts are removed.

    Args:
        store: where to.
        name: the object.
        headers: of the object, the id of this write among them.
    """

    def __init__(self, store: S3Objects, name: str, headers: Mapping[str, str]) -> None:
        self._store = store
        self._requests = store.requests
        self._name = name
        self._headers = dict(headers)
        self._what = f"write {name} of {store.url}"
        self._parts: dict[int, str] = {}
        self._size = 0

    async def run(self, body: Body) -> ObjectInfo:
        """Send it all: by one request if it fits into a part.

        Raises:
            InvalidInput: a stream had another size than it said.
        """
        async with aclosing(_parts_of(body, self._part_size(body))) as parts:
            return await self._run(body, parts)

    async def _run(self, body: Body, parts: AsyncGenerator[list[Bytes], None]) -> ObjectInfo:
        first: list[Bytes] = await anext(parts, [])
        second = await anext(parts, None)
        if second is None:
            self._count(body, first, end=True)
            return await self._store.put_small(self._name, first)
        upload_id = await self._begin()
        try:
            self._count(body, first)
            await self._send_all(upload_id, body, first, second, parts)
            return await self._complete(upload_id)
        except BaseException:
            await self._abort(upload_id)
            raise

    def _part_size(self, body: Body) -> int:
        size = body.size if isinstance(body, Stream) else memoryview(body).nbytes
        return max(self._store.options.part_size, -(-(size or 0) // (_MOST_PARTS - 1)))

    def _count(self, body: Body, part: list[Bytes], *, end: bool = False) -> None:
        self._size += sum(memoryview(piece).nbytes for piece in part)
        if isinstance(body, Stream) and (end or (body.size is not None and self._size > body.size)):
            check_size(body, self._size, self._name)

    async def _begin(self) -> str:
        headers = self._requests.writing() | self._headers
        algorithm = _ALGORITHMS.get(self._store.options.checksum)
        if algorithm is not None:
            headers["x-amz-checksum-algorithm"] = algorithm
        reply = await self._requests.ask(
            "POST", self._what, self._name, query={"uploads": ""}, headers=headers, hidden=True
        )
        upload_id = parse(reply.body, self._what).get("UploadId")
        if not upload_id:
            raise StorageError(f"cannot {self._what}: the service gives the upload no id", kind="bad-answer")
        return upload_id

    async def _send_all(
        self,
        upload_id: str,
        body: Body,
        first: list[Bytes],
        second: list[Bytes],
        parts: AsyncGenerator[list[Bytes], None],
    ) -> None:
        slots = anyio.Semaphore(self._store.options.parts_at_once)
        failures: list[Exception] = []

        async def send(number: int, part: list[Bytes]) -> None:
            try:
                await self._send_part(upload_id, number, part)
            except Exception as error:  # noqa: BLE001 - raised below, not in a group
                failures.append(error)
                tasks.cancel_scope.cancel()
            finally:
                slots.release()

        async with anyio.create_task_group() as tasks:
            try:
                number = 1
                await slots.acquire()
                tasks.start_soon(send, number, first)
                part: list[Bytes] | None = second
                while part is not None:
                    number += 1
                    self._count(body, part)
                    await slots.acquire()
                    tasks.start_soon(send, number, part)
                    part = await anext(parts, None)
                self._count(body, [], end=True)
            except Exception as error:  # noqa: BLE001 - raised below, not in a group
                failures.append(error)
                tasks.cancel_scope.cancel()
        if failures:
            raise failures[0]

    async def _send_part(self, upload_id: str, number: int, part: list[Bytes]) -> None:
        signed = self._requests.place.base.startswith("http://")
        guarded = await guard(part, self._store.options.checksum, signed=signed)
        reply = await self._requests.ask(
            "PUT",
            f"{self._what}, part {number}",
            self._name,
            query={"partNumber": str(number), "uploadId": upload_id},
            headers=self._requests.customer_key(),
            body=part,
            guarded=guarded.headers,
        )
        etag = version_of(reply.headers, self._name)
        element = f"<{guarded.element[0]}>{guarded.element[1]}</{guarded.element[0]}>" if guarded.element else ""
        self._parts[number] = f"<ETag>&quot;{escape(etag)}&quot;</ETag>{element}<PartNumber>{number}</PartNumber>"

    async def _complete(self, upload_id: str) -> ObjectInfo:
        listed = "".join(f"<Part>{self._parts[number]}</Part>" for number in sorted(self._parts))
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        body = f'<CompleteMultipartUpload xmlns="{space}">{listed}</CompleteMultipartUpload>'.encode()
        doubt = Doubt()
        try:
            reply = await self._requests.ask(
                "POST",
                self._what,
                self._name,
                query={"uploadId": upload_id},
                headers=self._requests.customer_key() | {"content-type": "application/xml"},
                body=[body],
                document=True,
                hidden=True,
                doubt=doubt,
            )
        except PackhouseError as error:
            if not doubt.any:
                raise
            return await self._decide(error)
        version = etag_of(parse(reply.body, self._what).get("ETag"))
        if not version:  # Ceph 16 leaves it empty
            return await self._decide(StorageError(f"cannot {self._what}: it is not there", kind="bad-answer"))
        return ObjectInfo(self._name, self._size, version, time_of(reply.headers))

    async def _decide(self, failure: PackhouseError) -> ObjectInfo:
        """The answer was lost, or tells too little: see whether the object is there after all."""
        reply: Reply
        try:
            reply = await self._store._ask_head(self._name)  # noqa: SLF001 - of the same store
        except NameNotFound:
            raise failure from None
        written = [name for name, value in self._headers.items() if reply.headers.get(name) == value]
        if len(written) != len(self._headers):
            raise failure
        return ObjectInfo(self._name, self._size, version_of(reply.headers, self._name), time_of(reply.headers))

    async def _abort(self, upload_id: str) -> None:
        """Remove the parts; what cannot be removed now is left to `packhouse verify`."""
        with anyio.move_on_after(_ABORT_SECONDS, shield=True):
            try:
                what = f"remove the parts of {self._name} of {self._store.url}"
                await self._requests.ask("DELETE", what, self._name, query={"uploadId": upload_id})
            except PackhouseError:
                return


async def _parts_of(body: Body, size: int) -> AsyncGenerator[list[Bytes], None]:
    """Cut a body into parts, each a list of its pieces; the pieces of a stream are the caller's no longer."""
    if not isinstance(body, Stream):
        view = memoryview(body).cast("B")
        for start in range(0, view.nbytes, size):
            yield [view[start : start + size]]
        return
    part: list[Bytes] = []
    held = 0
    async with body.reading() as pieces:
        async for piece in pieces:
            view = memoryview(piece).cast("B")
            while view.nbytes:
                taken = view[: size - held]
                part.append(taken)
                held += taken.nbytes
                view = view[taken.nbytes :]
                if held == size:
                    yield part
                    part, held = [], 0
    if part:
        yield part
