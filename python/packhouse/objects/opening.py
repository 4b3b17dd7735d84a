"""From a URL to a store of objects."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from packhouse.errors import InvalidInput
from packhouse.objects.contract import ObjectStore
from packhouse.objects.local import LocalObjects
from packhouse.objects.memory import MemoryObjects

if TYPE_CHECKING:
    from packhouse.objects.s3 import S3Options

__all__ = ["open_objects"]


def open_objects(url: str | os.PathLike[str], *, options: S3Options | None = None, client: Any = None) -> ObjectStore:
    """Return the store of objects at a URL, to be opened by `async with`.

    Args:
        url: `s3://bucket/prefix`, a path, `file:///path` or `memory://`.
        options: what is chosen about a bucket.
        client: a client of httpx or httpx2 to go through.

    Raises:
        InvalidInput: none of these; the message does not repeat what could be a secret.
    """
    text = os.fspath(url)
    scheme = text.partition("://")[0] if "://" in text else ""
    if scheme == "s3":
        from packhouse.objects.s3 import S3Objects  # noqa: PLC0415 - imports httpx

        return S3Objects(text, options, client=client)
    if not scheme:
        return LocalObjects(text)
    if scheme == "file":
        return LocalObjects(unquote(urlsplit(text).path))
    if text == "memory://":
        return MemoryObjects()
    message = f"cannot open {scheme[:20]}://: this version knows s3://, a path, file:/// and memory://"
    raise InvalidInput(message, kind="url")
