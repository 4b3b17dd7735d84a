"""From `s3://bucket/prefix` to the URLs that are asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from packhouse.errors import InvalidInput
from packhouse.objects.bucket.location import UNRESERVED, make_query, read_url

__all__ = ["Place", "S3Location", "parse_url"]

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")
_HOST_BUCKET = re.compile(r"[a-z0-9](?:[a-z0-9-]{1,61})[a-z0-9]")


class S3Location(NamedTuple):
    """A bucket and what its names begin with."""

    bucket: str
    prefix: str
    """Empty, or ended by a slash."""

    @property
    def url(self) -> str:
        """As messages show it."""
        return f"s3://{self.bucket}/{self.prefix}".rstrip("/")


def parse_url(url: str) -> S3Location:
    """Read a URL.

    Raises:
        InvalidInput: it is no such URL, or holds a user, a password or a query. The message does not repeat those.
    """
    bucket, prefix = read_url(url, "s3")
    if not _BUCKET.fullmatch(bucket):
        raise InvalidInput(f"{bucket[:80]!a} is no bucket", kind="url")
    return S3Location(bucket, prefix)


class Place(NamedTuple):
    """Where requests for a bucket go."""

    base: str
    """Scheme and host."""
    root: str
    """The path that stands for the bucket: empty, or `/bucket`."""
    bucket: str
    prefix: str

    @classmethod
    def find(cls, location: S3Location, endpoint: str | None, region: str, *, path_style: bool | None) -> Place:
        """Choose between the bucket in the host and the bucket in the path."""
        if path_style is None:
            path_style = endpoint is not None or not _HOST_BUCKET.fullmatch(location.bucket)
        if endpoint is None:
            domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
            endpoint = f"https://s3.{region}.{domain}"
        if path_style:
            return cls(endpoint, f"/{location.bucket}", *location)
        scheme, _, host = endpoint.partition("://")
        return cls(f"{scheme}://{location.bucket}.{host}", "", *location)

    @property
    def host(self) -> str:
        """As the header has it."""
        return self.base.partition("://")[2]

    def url(self, name: str | None = None, query: Mapping[str, str] | None = None) -> str:
        """Return the URL of an object, or of the bucket."""
        key = "" if name is None else quote(self.prefix + name, safe=UNRESERVED + "/")
        asked = f"?{make_query(query)}" if query else ""
        return f"{self.base}{self.root}/{key}{asked}"

    def source(self, name: str) -> str:
        """Return an object as the header of a copy names it."""
        return f"/{self.bucket}/{quote(self.prefix + name, safe=UNRESERVED + '/')}"
