"""Appending to a log without await."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from packhouse.sync.portal import Portal
    from packhouse.tasks.logs import LogWriter as AsyncLogWriter

__all__ = ["LogWriter"]


class LogWriter:
    """Appends to one log, as `packhouse.tasks.LogWriter`. Got from `TaskDataStore.log_writer`."""

    def __init__(self, portal: Portal, inner: AsyncLogWriter) -> None:
        self._portal = portal
        self._inner = inner

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.flush()

    def write(self, data: bytes | str) -> None:
        """Add to the log; text as UTF-8."""
        self._portal.call(self._inner.write, data)

    def flush(self) -> None:
        """Make durable what was written."""
        self._portal.call(self._inner.flush)
