"""From a URL to a store of objects."""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any, NamedTuple

from packhouse.errors import InvalidInput
from packhouse.objects.contract import ObjectStore
from packhouse.objects.local import LocalObjects
from packhouse.objects.memory import MemoryObjects
from packhouse.urls import file_path, split_url

if TYPE_CHECKING:
    from packhouse.objects.bucket import BucketObjects, BucketOptions

__all__ = ["BUCKETS", "open_bucket", "open_objects", "service_of"]


class _Service(NamedTuple):
    """Where what speaks to a service is: imported when it is used, because that imports httpx."""

    room: str
    store: str
    options: str


BUCKETS = {
    "s3": _Service("packhouse.objects.s3", "S3Objects", "S3Options"),
    "gs": _Service("packhouse.objects.gcs", "GCSObjects", "GCSOptions"),
    "az": _Service("packhouse.objects.azure", "AzureObjects", "AzureOptions"),
}
"""Services of buckets, by the scheme of their URLs."""


def service_of(url: str) -> tuple[Any, type[BucketOptions]] | None:
    """Return the store's and the options' class of a bucket's URL; None for what is no bucket."""
    service = BUCKETS.get(url.partition("://")[0]) if "://" in url else None
    if service is None:
        return None
    room = importlib.import_module(service.room)
    return getattr(room, service.store), getattr(room, service.options)


def open_bucket(url: str, *, options: BucketOptions | None = None, client: Any = None) -> BucketObjects | None:
    """Return the bucket at a URL, to be opened by `async with`; None for what is no bucket. As `open_objects`.

    Raises:
        InvalidInput: the options are of another service, or the URL cannot be used.
    """
    service = service_of(url)
    if service is None:
        return None
    store, kind = service
    if options is not None and not isinstance(options, kind):
        message = f"{url.partition('://')[0]}:// takes {kind.__name__}, not {type(options).__name__}"
        raise InvalidInput(message, kind="option")
    opened: BucketObjects = store(url, options, client=client)
    return opened


def open_objects(
    url: str | os.PathLike[str], *, options: BucketOptions | None = None, client: Any = None
) -> ObjectStore:
    """Return the store of objects at a URL, to be opened by `async with`.

    Args:
        url: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://account/container/prefix`, a path, `file:///path` or
            `memory://`.
        options: what is chosen about a bucket, of its service's class.
        client: a client of httpx or httpx2 to go through.

    Raises:
        InvalidInput: none of these; the message does not repeat what could be a secret.
    """
    text = os.fspath(url)
    bucket = open_bucket(text, options=options, client=client)
    if bucket is not None:
        return bucket
    scheme = text.partition("://")[0] if "://" in text else ""
    if not scheme:
        return LocalObjects(text)
    if scheme == "file":
        return LocalObjects(file_path(split_url(text)))
    if text == "memory://":
        return MemoryObjects()
    message = f"cannot open {scheme[:20]}://: this version knows s3://, gs://, az://, a path, file:/// and memory://"
    raise InvalidInput(message, kind="url")
