"""An answer's body, by whichever transport: bounded, whole, not encoded, in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import aclosing
from typing import Any

from packhouse.errors import StorageError
from packhouse.objects.contract import new_memory
from packhouse.objects.http.calls import Call, Reply
from packhouse.objects.http.heads import Headers
from packhouse.objects.http.transport import Answer

__all__ = ["Receiving"]

_GOOD = (200, 206)
_PLAIN = ("", "identity", "aws-chunked")


class Receiving:
    """Where one answer goes.

    Args:
        call: what was asked.
        more: told the bytes that are coming and the answer's status, so that the deadline can follow.
    """

    def __init__(self, call: Call, more: Callable[[int, int], None]) -> None:
        self._call = call
        self._more = more
        self._fields: dict[str, str] = {}
        self._view = memoryview(b"")

    def target(self, status: int, headers: Headers, length: int | None) -> memoryview | None:
        """Return where the body goes, once its length is known."""
        fields: dict[str, str] = {}
        for name, value in headers:
            field, text = name.decode("ascii").lower(), value.decode("latin-1")
            fields[field] = f"{fields[field]}, {text}" if field in fields else text
        self._fields = fields
        view = self._target(status, self._fields, length)
        if view is not None:
            self._view = view
        return view

    async def take(self, answer: Answer) -> Reply:
        """Return what our own transport has brought; read what is left.

        Raises:
            StorageError: the answer cannot be used (`bad-answer`).
        """
        if answer.stream is not None:
            return await self.read(answer.response())
        return Reply(answer.status, self._fields, self._view)

    def _target(self, status: int, fields: Mapping[str, str], length: int | None) -> memoryview | None:
        call = self._call
        if fields.get("content-encoding", "").lower() not in _PLAIN:
            raise self._refuse("it is encoded though that was not asked for")
        if call.check is not None and status in _GOOD:
            call.check(status, fields, length)
        into = call.into if status in _GOOD else None
        if length is None:
            return None
        if into is not None and length != into.nbytes:
            raise self._refuse(f"it has {length} bytes instead of {into.nbytes}")
        if into is None and length > call.limit:
            raise self._refuse(f"it has {length} bytes, more than {call.limit}")
        self._more(length, status)
        return new_memory(length) if into is None else into

    async def read(self, response: Any) -> Reply:
        """Read what the transport has not read yet.

        Raises:
            StorageError: the answer cannot be used (`bad-answer`).
        """
        headers = {name.lower(): value for name, value in response.headers.items()}
        try:
            return Reply(response.status_code, headers, await self._read_pieces(response, headers))
        finally:
            await response.aclose()

    async def _read_pieces(self, response: Any, headers: Mapping[str, str]) -> memoryview:
        bodiless = self._call.method == "HEAD" or response.status_code in (204, 304)
        length = 0 if bodiless else _length(headers)
        framed = "transfer-encoding" in headers or response.http_version == "HTTP/2"
        if length is None and not framed:
            raise self._refuse("it does not say how long it is")
        view = self._target(response.status_code, headers, length)
        if view is None:
            return await self._read_unknown(response)
        done = 0
        async with aclosing(response.aiter_raw()) as pieces:
            async for piece in pieces:
                if done + len(piece) > len(view):
                    raise self._refuse(f"it has more bytes than the {len(view)} it said")
                view[done : done + len(piece)] = piece
                done += len(piece)
        if done != len(view):
            raise self._refuse(f"it ended after {done} of {len(view)} bytes")
        return view

    async def _read_unknown(self, response: Any) -> memoryview:
        """Read a chunked body: its end is told, its length is not."""
        into = self._call.into if response.status_code in _GOOD else None
        limit = self._call.limit if into is None else into.nbytes
        whole = bytearray()
        async with aclosing(response.aiter_raw()) as pieces:
            async for piece in pieces:
                whole += piece
                if len(whole) > limit:
                    raise self._refuse(f"it has more than {limit} bytes")
        if into is None:
            return memoryview(whole)
        if len(whole) != into.nbytes:
            raise self._refuse(f"it has {len(whole)} bytes instead of {into.nbytes}")
        into[:] = whole
        return into

    def _refuse(self, why: str) -> StorageError:
        return StorageError(f"cannot {self._call.what}: the answer cannot be used, {why}", kind="bad-answer")


def _length(headers: Mapping[str, str]) -> int | None:
    told = headers.get("content-length", "")
    return int(told) if told.isascii() and told.isdigit() else None
