"""S3's uploads in parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from packhouse.errors import PackhouseError, StorageError
from packhouse.objects.bucket.answers import etag_of, time_of, version_of
from packhouse.objects.bucket.store import new_write_id
from packhouse.objects.bucket.upload import Part, Session
from packhouse.objects.bucket.xml import escape, parse
from packhouse.objects.contract import Bytes, ObjectInfo
from packhouse.objects.http import Doubt, current
from packhouse.objects.s3.guarding import guard

if TYPE_CHECKING:
    from packhouse.objects.s3.store import S3Objects

__all__ = ["WRITE_ID", "Multipart"]

WRITE_ID = "x-amz-meta-packhouse-write"
_ABORT_SECONDS = 10.0
_ALGORITHMS = {"crc32": "CRC32", "sha256": "SHA256"}


class Multipart(Session):
    """One object on its way.

    Args:
        store: where to.
        what: the operation, for messages.
        name: the object.
    """

    def __init__(self, store: S3Objects, what: str, name: str) -> None:
        self._store = store
        self._requests = store.requests
        self._name = name
        self._what = what
        self._write_id = new_write_id()
        self._upload_id = ""
        self._parts: dict[int, str] = {}
        self.at_once = store.options.parts_at_once

    async def small(self, pieces: list[Bytes]) -> ObjectInfo:
        return await self._store._write(self._what, self._name, pieces)  # noqa: SLF001 - of the same service

    async def begin(self) -> None:
        headers = self._requests.writing() | {WRITE_ID: self._write_id}
        algorithm = _ALGORITHMS.get(self._store.options.checksum)
        if algorithm is not None:
            headers["x-amz-checksum-algorithm"] = algorithm
        reply = await self._requests.ask(
            "POST", self._what, self._name, query={"uploads": ""}, headers=headers, hidden=True
        )
        self._upload_id = parse(reply.body, self._what).get("UploadId")
        if not self._upload_id:
            raise StorageError(f"cannot {self._what}: the service gives the upload no id", kind="bad-answer")

    async def send(self, part: Part) -> None:
        number = part.number + 1
        signed = self._requests.place.base.startswith("http://")
        guarded = await guard(part.pieces, self._store.options.checksum, signed=signed)
        reply = await self._requests.ask(
            "PUT",
            f"{self._what}, part {number}",
            self._name,
            query={"partNumber": str(number), "uploadId": self._upload_id},
            headers=self._requests.customer_key(),
            body=part.pieces,
            guarded=guarded.headers,
        )
        etag = version_of(reply.headers, self._name)
        element = f"<{guarded.element[0]}>{guarded.element[1]}</{guarded.element[0]}>" if guarded.element else ""
        self._parts[number] = f"<ETag>&quot;{escape(etag)}&quot;</ETag>{element}<PartNumber>{number}</PartNumber>"

    async def complete(self, size: int) -> ObjectInfo:
        listed = "".join(f"<Part>{self._parts[number]}</Part>" for number in sorted(self._parts))
        space = "http://s3.amazonaws.com/doc/2006-03-01/"
        body = f'<CompleteMultipartUpload xmlns="{space}">{listed}</CompleteMultipartUpload>'.encode()
        doubt = Doubt()
        try:
            reply = await self._requests.ask(
                "POST",
                self._what,
                self._name,
                query={"uploadId": self._upload_id},
                headers=self._requests.customer_key() | {"content-type": "application/xml"},
                body=[body],
                document=True,
                hidden=True,
                doubt=doubt,
                size=size,
            )
        except PackhouseError as error:
            if not doubt.any:
                raise
            return await self._store.settle(self._name, self._write_id, size, error)
        version = etag_of(parse(reply.body, self._what).get("ETag"))
        if not version:  # Ceph 16 leaves it empty
            failure = StorageError(f"cannot {self._what}: it is not there", kind="bad-answer")
            return await self._store.settle(self._name, self._write_id, size, failure)
        return ObjectInfo(self._name, size, version, time_of(reply.headers))

    async def abort(self) -> None:
        with anyio.move_on_after(_ABORT_SECONDS, shield=True):
            current(self._store.options.http).keep_last_words()
            try:
                what = f"remove the parts of {self._name} of {self._store.url}"
                await self._requests.ask("DELETE", what, self._name, query={"uploadId": self._upload_id})
            except PackhouseError:
                return  # left to `packhouse verify`
