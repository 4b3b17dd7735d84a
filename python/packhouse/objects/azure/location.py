"""From `az://account/container/prefix` to blobs."""

from __future__ import annotations

import re
from typing import NamedTuple

from packhouse.errors import InvalidInput
from packhouse.objects.bucket.location import read_url

__all__ = ["AzureLocation", "decode_blob", "encode_blob", "parse_url"]

_ACCOUNT = re.compile(r"[a-z0-9]{3,24}")
_CONTAINER = re.compile(r"[a-z0-9](?:-?[a-z0-9])*")
_DOT = re.compile(r"\.(?=/)|\.\Z")
_KEPT = re.compile(r"\.\$(?=/|\Z)")


class AzureLocation(NamedTuple):
    """A container and what its names begin with."""

    account: str
    container: str
    prefix: str
    """Empty, or ended by a slash."""

    @property
    def url(self) -> str:
        """As messages show it."""
        return f"az://{self.account}/{self.container}/{self.prefix}".rstrip("/")


def parse_url(url: str) -> AzureLocation:
    """Read a URL.

    Raises:
        InvalidInput: it is no such URL, or holds a user, a password or a query. The message does not repeat those.
    """
    account, path = read_url(url, "az")
    if not _ACCOUNT.fullmatch(account):
        raise InvalidInput(f"{account[:80]!a} is no account: az://account/container/prefix", kind="url")
    container, _, prefix = path.partition("/")
    if not (3 <= len(container) <= 63 and _CONTAINER.fullmatch(container)):
        message = f"{container[:80]!a} is no container: az://account/container/prefix"
        raise InvalidInput(message, kind="url")
    return AzureLocation(account, container, prefix)


def encode_blob(name: str, *, whole: bool = True) -> str:
    """Return the blob of a name: a dot at the end of a part, which the service drops, is followed by a dollar sign.

    Args:
        name: with the store's prefix.
        whole: not the beginning of one: its last part is at its end.
    """
    if whole:
        return _DOT.sub(".$", name)
    done, slash, begun = name.rpartition("/")
    return f"{_DOT.sub('.$', done + slash)}{begun}"


def decode_blob(blob: str) -> str:
    """Return the name of a blob."""
    return _KEPT.sub(".", blob)
