"""httpx logs whole URLs at INFO, its core whole heads at DEBUG: not while a request of ours is on its way."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

__all__ = ["hushed"]

_ours: ContextVar[bool] = ContextVar("packhouse-request", default=False)
_CORE = ("", ".connection", ".http11", ".http2", ".proxy", ".socks")
_LOGGERS = (
    *("httpx", "httpx2", "hpack.hpack", "hpack.table", "h2"),
    *(f"{core}{part}" for core in ("httpcore", "httpcore2") for part in _CORE),
)


class _Filter(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        del record
        return not _ours.get()


_filter = _Filter()


@contextmanager
def hushed() -> Iterator[None]:
    """Keep what others log about this request out of the logs; ours says what happened."""
    for name in _LOGGERS:
        logger = logging.getLogger(name)
        if _filter not in logger.filters:
            logger.addFilter(_filter)
    token = _ours.set(True)
    try:
        yield
    finally:
        _ours.reset(token)
