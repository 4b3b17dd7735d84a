"""How a store is opened: its URL, and what may be chosen."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

from packhouse.errors import InvalidInput
from packhouse.urls import file_path, split_url

if TYPE_CHECKING:
    from packhouse.objects.bucket import BucketOptions

__all__ = ["Location", "Mode", "StoreOptions", "choose_options", "locate_store"]

Mode: TypeAlias = Literal["a", "r"]
"""`"a"`: read and write; `"r"`: read, and never write anything."""

_SCHEME = re.compile("([A-Za-z][A-Za-z0-9+.-]*)://")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreOptions:
    """What may be chosen when a store is opened, and, marked so, when it is created.

    Attributes:
        budget: bytes that one operation holds beyond the blobs its caller holds.
        threads: threads for work that can be shared out; 0 for as many as there are cores.
        shared: write to a network or user-space file system all the same, by its documented rules.
        level: when creating: the zstd level; None for the default.
        chunk_average: when creating: bytes of a chunk on average, 256 to 2,097,152; None for the default.
        retention: when creating: seconds that blobs saved with `pin=False` are kept at least; None for 14 days.
        bucket: `S3Options`, `GCSOptions` or `AzureOptions`: endpoint, credentials and the rest; what is not given is
            found as the service's own tools find it.
    """

    budget: int = 64 << 20
    threads: int = 0
    shared: bool = False
    level: int | None = None
    chunk_average: int | None = None
    retention: int | None = None
    bucket: BucketOptions | None = None

    def __post_init__(self) -> None:
        if self.budget < 1 << 20:
            raise InvalidInput(f"the budget is at least 1 MiB, not {self.budget} bytes", kind="option")
        if self.threads < 0:
            raise InvalidInput(f"threads is 0 or more, not {self.threads}", kind="option")
        for name, value in self.settings().items():
            if not 0 <= value < 1 << 63:
                raise InvalidInput(f"{name} is not {value}", kind="option")

    def settings(self) -> dict[str, int]:
        """Return what was chosen for a new store."""
        chosen = {"level": self.level, "chunk_average": self.chunk_average, "retention": self.retention}
        if self.bucket is not None and not self.bucket.conditional_writes:
            chosen["conditional_writes"] = 0
        return {name: value for name, value in chosen.items() if value is not None}


def choose_options(options: object, url: str, *, remote: bool) -> StoreOptions:
    """Return a store's options: a bucket's may stand for them.

    Args:
        options: what was given.
        url: of the store, for messages.
        remote: whether it is in a bucket.

    Raises:
        InvalidInput: they are no options, or a bucket's for what is none.
    """
    chosen = options if isinstance(options, StoreOptions) else None
    bucket = options if chosen is None else chosen.bucket
    if bucket is None:
        return chosen or StoreOptions()
    from packhouse.objects.bucket import BucketOptions  # noqa: PLC0415 - imports httpx

    if not isinstance(bucket, BucketOptions):
        message = f"options are StoreOptions, or S3Options, GCSOptions or AzureOptions, not {type(bucket).__name__}"
        raise InvalidInput(message, kind="option")
    if not remote:
        raise InvalidInput(f"{type(bucket).__name__} are for a bucket; {url} is none", kind="option")
    return chosen or StoreOptions(bucket=bucket)


@dataclass(frozen=True, slots=True)
class Location:
    """Where a store is.

    Attributes:
        url: as messages and pickles show it.
        path: the folder; None for a store in memory or in a bucket.
        remote: whether it is in a bucket.
    """

    url: str
    path: str | None
    remote: bool = False


def locate_store(url: object) -> Location:
    """Read a store's URL: a path, `file://…`, `s3://…`, `gs://…`, `az://…` or `memory://`.

    Raises:
        InvalidInput: it is none of these.
    """
    if isinstance(url, os.PathLike):
        url = os.fspath(url)
    if not isinstance(url, str) or not url:
        raise InvalidInput(f"a store's URL is a path or a str, not {url!r}", kind="url")
    scheme = _SCHEME.match(url)
    if scheme is None:
        return Location(url, url)
    parts = split_url(url)
    if parts.scheme == "memory" and not (parts.netloc or parts.path):
        return Location(url, None)
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path:
        if parts.query or parts.fragment:
            raise InvalidInput("in file:// a path's ? is %3F and its # is %23", kind="url")
        return Location(url, file_path(parts))
    from packhouse.objects.opening import BUCKETS, open_objects  # noqa: PLC0415 - imports httpx

    if scheme[1] in BUCKETS:
        return Location(open_objects(url).url, None, remote=True)
    message = f"cannot open {parts.scheme}://: this version opens a path, file:///path, s3://bucket/prefix, "
    message += "gs://bucket/prefix, az://account/container/prefix or memory://"
    raise InvalidInput(message, kind="url")
