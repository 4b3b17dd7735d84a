"""Reading a bucket's URL, whatever the service."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import quote

from packhouse.errors import InvalidInput
from packhouse.urls import split_url

__all__ = ["UNRESERVED", "Location", "make_query", "read_url"]

UNRESERVED = "-_.~"
"""What is sent as it is, besides letters and digits."""


class Location(NamedTuple):
    """What a URL says."""

    host: str
    prefix: str
    """Empty, or ended by a slash."""


def read_url(url: str, scheme: str) -> Location:
    """Read `scheme://host/prefix`.

    Raises:
        InvalidInput: it is no such URL, or holds a user, a password or a query. The message does not repeat those.
    """
    parts = split_url(url)
    if parts.scheme != scheme or "@" in parts.netloc or ":" in parts.netloc or parts.query or parts.fragment:
        where = "account/container" if scheme == "az" else "bucket"
        message = f"a bucket's URL is {scheme}://{where}/prefix: keys, endpoint and the rest are options, never in it"
        raise InvalidInput(message, kind="url")
    try:
        url.encode()
    except UnicodeEncodeError:
        raise InvalidInput("a bucket's URL is text in UTF-8, which this one cannot be", kind="url") from None
    prefix = parts.path.strip("/")
    if any(part in ("", ".", "..") for part in prefix.split("/")) and prefix:
        raise InvalidInput(f"the prefix {prefix[:80]!a} has empty or dotted parts, which clients rewrite", kind="url")
    if re.search(r"[\x00-\x1f\x7f]", prefix):
        raise InvalidInput("the prefix has control characters, which clients rewrite", kind="url")
    return Location(parts.netloc, prefix + "/" if prefix else "")


def make_query(query: Mapping[str, str]) -> str:
    """Return a query as it is sent and signed: sorted, encoded."""
    return "&".join(
        f"{quote(key, safe=UNRESERVED)}={quote(value, safe=UNRESERVED)}" for key, value in sorted(query.items())
    )
