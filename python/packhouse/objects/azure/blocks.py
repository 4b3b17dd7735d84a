"""Azure's uploads in blocks: nothing is seen of them until a list says which of them are the blob."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

from packhouse.errors import PackhouseError
from packhouse.objects.bucket.answers import time_of, version_of
from packhouse.objects.bucket.store import new_write_id
from packhouse.objects.bucket.upload import Part, Session
from packhouse.objects.contract import Bytes, ObjectInfo
from packhouse.objects.http import Doubt

if TYPE_CHECKING:
    from packhouse.objects.azure.store import AzureObjects

__all__ = ["WRITE_ID", "Blocks"]

WRITE_ID = "x-ms-meta-packhousewrite"


class Blocks(Session):
    """One blob on its way.

    Args:
        store: where to.
        what: the operation, for messages.
        name: the object.
    """

    most = 50_000

    def __init__(self, store: AzureObjects, what: str, name: str) -> None:
        self._store = store
        self._requests = store.requests
        self._what = what
        self._name = name
        self._write_id = new_write_id()
        self._count = 0
        self.at_once = store.options.parts_at_once

    async def small(self, pieces: list[Bytes]) -> ObjectInfo:
        return await self._store._write(self._what, self._name, pieces)  # noqa: SLF001 - of the same service

    async def begin(self) -> None:
        return None

    def _id(self, number: int) -> str:
        """Return a block's id: of one length, and of this write alone."""
        return base64.b64encode(f"{self._write_id}{number:06}".encode()).decode()

    async def send(self, part: Part) -> None:
        await self._requests.ask(
            "PUT",
            f"{self._what}, block {part.number}",
            self._name,
            query={"comp": "block", "blockid": self._id(part.number)},
            headers=self._requests.keeping(),
            body=part.pieces,
        )
        self._count = max(self._count, part.number + 1)

    async def complete(self, size: int) -> ObjectInfo:
        # "Latest", so that a list whose answer was lost can be sent again: its blocks are the blob's by then
        listed = "".join(f"<Latest>{self._id(number)}</Latest>" for number in range(self._count))
        body = f'<?xml version="1.0" encoding="utf-8"?><BlockList>{listed}</BlockList>'.encode()
        doubt = Doubt()
        headers = {WRITE_ID: self._write_id, "x-ms-blob-content-type": "application/octet-stream"}
        try:
            reply = await self._requests.ask(
                "PUT",
                self._what,
                self._name,
                query={"comp": "blocklist"},
                headers=headers | self._requests.writing(),
                body=[body],
                document=True,
                doubt=doubt,
            )
        except PackhouseError as error:
            if not doubt.any:
                raise
            return await self._store.settle(self._name, self._write_id, size, error)
        return ObjectInfo(self._name, size, version_of(reply.headers, self._name), time_of(reply.headers))

    async def abort(self) -> None:
        return None  # there is no way to: nobody sees blocks without a list, and they vanish after a week
