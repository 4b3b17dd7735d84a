"""Resumable uploads: parts one after the other, and after a lost answer a question how far it got.

Source: Google Cloud Storage, "Resumable uploads" (308 and its `Range`, the status check, cancelling by 499).
"""

from __future__ import annotations

import re
from functools import partial
from typing import TYPE_CHECKING

import anyio
import orjson

from packhouse.errors import NameNotFound, PackhouseError, StorageError, StoreNotFound
from packhouse.objects.bucket.store import new_write_id
from packhouse.objects.bucket.upload import Part, Session
from packhouse.objects.contract import Bytes, ObjectInfo
from packhouse.objects.gcs.hashing import Hash
from packhouse.objects.gcs.options import GRAIN
from packhouse.objects.http import Call, Doubt, Reply, current

if TYPE_CHECKING:
    from packhouse.objects.gcs.store import GCSObjects

__all__ = ["Resumable"]

_ABORT_SECONDS = 10.0
_RESUME = 308
_RANGE = re.compile(r"bytes=0-(\d{1,19})")


class Resumable(Session):
    """One object on its way.

    Args:
        store: where to.
        what: the operation, for messages.
        name: the object.
    """

    grain = GRAIN
    most = 1 << 40
    tells_last = True

    def __init__(self, store: GCSObjects, what: str, name: str) -> None:
        self._store = store
        self._requests = store.requests
        self._what = what
        self._name = name
        self._write_id = new_write_id()
        self._address = ""
        """Who has it can write to the upload: it is a secret."""
        self._hash = Hash(store.options.checksum)
        self._done: Reply | None = None
        self._settled: ObjectInfo | None = None
        self._doubt = Doubt()

    async def small(self, pieces: list[Bytes]) -> ObjectInfo:
        return await self._store._write(self._what, self._name, pieces)  # noqa: SLF001 - of the same service

    async def begin(self) -> None:
        described = orjson.dumps(self._store.described(self._name, self._write_id))
        query = {"uploadType": "resumable", "name": self._requests.location.prefix + self._name}
        reply = await self._requests.ask(
            "POST",
            self._what,
            url=self._requests.upload_url(query | self._requests.writing()),
            headers={
                "content-type": "application/json; charset=UTF-8",
                "x-upload-content-type": "application/octet-stream",
                **self._requests.customer_key(),
            },
            body=[described],
            document=True,
        )
        self._address = self._own(reply.headers.get("location", ""))

    def _own(self, address: str) -> str:
        """Return the upload's address, if it is one of the service that was asked."""
        base = self._requests.base
        if address.startswith(f"{base}/"):
            return address
        raise StorageError(f"cannot {self._what}: the upload's address is not the service's", kind="bad-answer")

    async def send(self, part: Part) -> None:
        await self._hash.update(part.pieces)
        at, end = part.start, part.start + part.size
        while at < end or (part.last and self._done is None):
            try:
                reply = await self._send_from(part, at)
            except PackhouseError as error:
                if not (part.last and self._doubt.any):
                    raise
                self._settled = await self._store.settle(self._name, self._write_id, end, error, self._hash.text)
                return
            if reply.status != _RESUME:
                self._done = reply
                if not part.last:
                    raise StorageError(f"cannot {self._what}: the upload ended too early", kind="bad-answer")
                return
            kept = _kept(reply)
            if not at < kept <= end:
                message = f"cannot {self._what}: the service keeps {kept} bytes of {end}, and had {at}"
                raise StorageError(message, kind="bad-answer")
            at = kept

    async def _send_from(self, part: Part, at: int) -> Reply:
        """Send a part's bytes from there on. Before another try the service is asked how far the last one got."""
        try:
            return await self._requests.send(await self._call(part, at))
        except (NameNotFound, StoreNotFound) as error:
            message = f"cannot {self._what}: the service has forgotten the upload; write it again"
            raise StorageError(message, kind="service-failed") from error

    async def _call(self, part: Part, at: int) -> Call:
        # Nothing here refers to itself: a part that waits for the garbage collector is megabytes.
        return await self._requests.call(
            "PUT",
            self._what,
            url=self._address,
            headers=self._range(part, at),
            body=_from(part.pieces, at - part.start),
            doubt=self._doubt,
            renew=partial(self._renew, part, at),
        )

    async def _renew(self, part: Part, at: int) -> Call | Reply:
        reply = await self._ask_how_far(part)
        return reply if reply.status != _RESUME or _kept(reply) != at else await self._call(part, at)

    def _range(self, part: Part, start: int) -> dict[str, str]:
        end = part.start + part.size
        total = str(end) if part.last else "*"
        told = f"bytes {start}-{end - 1}/{total}" if start < end else f"bytes */{total}"
        guarded = {"x-goog-hash": self._hash.header} if part.last else {}
        return {"content-range": told, **self._requests.customer_key(), **guarded}

    async def _ask_how_far(self, part: Part) -> Reply:
        total = str(part.start + part.size) if part.last else "*"
        return await self._requests.ask(
            "PUT",
            f"{self._what}, after an answer was lost",
            url=self._address,
            headers={"content-range": f"bytes */{total}"},
        )

    async def complete(self, size: int) -> ObjectInfo:
        if self._done is None:
            if self._settled is not None:
                return self._settled
            raise StorageError(f"cannot {self._what}: the upload has no end", kind="bad-answer")
        return await self._store.accept(self._what, self._name, self._done, size, self._hash)

    async def abort(self) -> None:
        with anyio.move_on_after(_ABORT_SECONDS, shield=True):
            current(self._store.options.http).keep_last_words()
            try:
                if self._address and self._done is None:
                    await self._requests.ask("DELETE", f"end: {self._what}", url=self._address)
            except PackhouseError:
                return  # it ends by itself after a week


def _kept(reply: Reply) -> int:
    """Return how many bytes the service has."""
    told = _RANGE.fullmatch(reply.headers.get("range", ""))
    return int(told[1]) + 1 if told else 0


def _from(pieces: list[Bytes], start: int) -> list[Bytes]:
    """Return what stands behind the first bytes, uncopied."""
    left: list[Bytes] = []
    for piece in pieces:
        view = memoryview(piece).cast("B")
        if start < view.nbytes:
            left.append(view[start:])
        start = max(0, start - view.nbytes)
    return left
