"""How patient the client is, and by which way it goes."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from typing import Any, Self

from packhouse.errors import InvalidInput

__all__ = ["HttpOptions"]

_KNOWN_PROXY = re.compile(r"(?:https?|socks5h?)://[^/?#]", re.IGNORECASE)
_PROXY = re.compile(r"(\w+://)(?:[^/?#]*@)?([\w.:\[\]-]+)/?")


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpOptions:
    """What may be chosen about HTTP. A pickle of it has the proxy without its user and password.

    Attributes:
        deadline: seconds that one verb (read, write, list …) waits for the service at most, all its requests and tries
            together, beyond what its bytes take at `slowest`; a name that is listed or deleted counts as 4 KiB.
        answer: seconds that one try takes at most, beyond what its bytes take at `slowest`.
        slowest: bytes per second; what is slower is given up.
        tries: how often a request is tried at most; one that is throttled is tried until the deadline.
        hedge: seconds after which a read whose answer has not begun is sent a second time, and the first good answer
            counts; None: never. What that and tries again cost together stays below a tenth of what goes well.
        concurrency: requests in flight at most; fewer while the service throttles.
        ca: a file of certificates to trust besides the system's.
        proxy: the URL of a proxy; requests then go through stock httpx.
        http2: speak HTTP/2; requests then go through stock httpx (needs `httpx[http2]`).
        trust_env: take proxies from the environment.
        plain_http: allow http:// to other hosts than this one, which is `localhost`, its addresses and, by our own
            transport, what ends in `.localhost`. It allows http:// to this host to go through a proxy, too, which it
            passes by otherwise. A client that is handed in goes its own way.
    """

    deadline: float = 120.0
    answer: float = 20.0
    slowest: int = 64 << 10
    tries: int = 7
    hedge: float | None = None
    concurrency: int = 32
    ca: str | None = None
    proxy: str | None = None
    http2: bool = False
    trust_env: bool = False
    plain_http: bool = False

    def __post_init__(self) -> None:
        if min(self.deadline, self.answer, self.slowest, self.tries, self.concurrency) <= 0:
            message = "deadline, answer, slowest, tries and concurrency are more than 0"
            raise InvalidInput(message, kind="option")
        if self.hedge is not None and self.hedge <= 0:
            raise InvalidInput("hedge is a number of seconds, more than 0, or None", kind="option")
        if self.proxy is not None and not _KNOWN_PROXY.match(self.proxy):
            raise InvalidInput("a proxy is http(s)://host:port or socks5(h)://host:port", kind="option")

    def __repr__(self) -> str:
        return (
            f"HttpOptions(deadline={self.deadline}, concurrency={self.concurrency})"  # a proxy's URL may hold secrets
        )

    def __reduce__(self) -> tuple[Any, ...]:
        chosen = {each.name: getattr(self, each.name) for each in fields(self)}
        return _restore, (chosen | {"proxy": _public(self.proxy)},)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self


def _restore(chosen: dict[str, Any]) -> HttpOptions:
    return HttpOptions(**chosen)


def _public(proxy: str | None) -> str | None:
    """Return what of a proxy's URL is no secret; None where that cannot be told."""
    parts = _PROXY.fullmatch(proxy or "")
    return parts[1] + parts[2] if parts is not None else None
