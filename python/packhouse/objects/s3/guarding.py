"""Digests that guard an upload in transit, computed in a thread where they take long."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Literal, NamedTuple

from packhouse._engine import crc32
from packhouse.objects.contract import Bytes
from packhouse.objects.threads import run_out

__all__ = ["Guard", "guard"]

_LONG = 128 << 10


class Guard(NamedTuple):
    """What goes with a body."""

    headers: dict[str, str]
    element: tuple[str, str] | None
    """The same for the list of parts: an element's name and text."""


async def guard(body: Sequence[Bytes], kind: Literal["crc32", "sha256", "md5", "none"], *, signed: bool) -> Guard:
    """Return the headers that let the service see whether a body arrived as it was sent.

    Args:
        body: buffers, one after the other.
        kind: which digest; none for a document about an object, whose checksum it would pass for.
        signed: whether the signature covers the body: over plain http, where others could change it.
    """
    if sum(memoryview(buffer).nbytes for buffer in body) > _LONG:
        return await run_out(lambda: _guard(body, kind, signed))
    return _guard(body, kind, signed)


def _guard(body: Sequence[Bytes], kind: str, signed: bool) -> Guard:
    headers = {"x-amz-content-sha256": "UNSIGNED-PAYLOAD"}
    digest = hashlib.sha256() if signed or kind == "sha256" else None
    if digest is not None:
        for buffer in body:
            digest.update(buffer)
    if digest is not None and signed:
        headers["x-amz-content-sha256"] = digest.hexdigest()
    if kind == "md5":
        md5 = hashlib.md5(usedforsecurity=False)
        for buffer in body:
            md5.update(buffer)
        return Guard(headers | {"content-md5": base64.b64encode(md5.digest()).decode()}, None)
    if kind == "none":
        return Guard(headers, None)
    if kind == "sha256" and digest is not None:
        text = base64.b64encode(digest.digest()).decode()
        return Guard(headers | {"x-amz-checksum-sha256": text}, ("ChecksumSHA256", text))
    crc = 0
    for buffer in body:
        crc = crc32(buffer, crc)
    text = base64.b64encode(crc.to_bytes(4, "big")).decode()
    return Guard(headers | {"x-amz-checksum-crc32": text}, ("ChecksumCRC32", text))
