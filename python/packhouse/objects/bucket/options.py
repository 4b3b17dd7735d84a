"""What may be chosen about any bucket."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any, Self
from urllib.parse import urlsplit

from packhouse.errors import InvalidInput
from packhouse.objects.http.options import HttpOptions

__all__ = ["BucketOptions", "check_endpoint"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketOptions:
    """What every service has. Secrets are in no `repr` and no pickle: an unpickled one finds its credentials anew.

    Attributes:
        part_size: bytes of a part of an upload; what is larger goes in parts.
        parts_at_once: parts of one upload in flight; with `part_size` this bounds its memory.
        conditional_writes: False for a service without them: `put_if` then refuses.
        http: how patient the client is, its proxies and certificates.
    """

    part_size: int = 8 << 20
    parts_at_once: int = 4
    conditional_writes: bool = True
    http: HttpOptions = field(default_factory=HttpOptions)

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (type(self), {each.name: getattr(self, each.name) for each in fields(self) if each.repr})

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def _restore(kind: type[BucketOptions], chosen: dict[str, Any]) -> BucketOptions:
    return kind(**chosen)


def check_endpoint(endpoint: str, *, path: bool = False) -> str:
    """Return it without a slash at its end.

    Args:
        endpoint: where a service is.
        path: whether a path may stand behind the host.

    Raises:
        InvalidInput: it is no `http(s)://host[:port]`. The message does not repeat it: it may hold a password.
    """
    try:
        parts = urlsplit(endpoint)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        good = False
    else:
        good = good and not (parts.username or parts.password or parts.query or parts.fragment)
        good = good and (path or not parts.path.strip("/"))
    if not good:
        raise InvalidInput("an endpoint is http(s)://host[:port] and nothing else, no user, no path", kind="url")
    return endpoint.rstrip("/")
