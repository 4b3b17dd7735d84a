"""The logs of a task, in Metaflow's terms: a source (`task`, `runtime`) and a stream (`stdout`, `stderr`, any name)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

from packhouse.errors import InvalidInput
from packhouse.tasks.guards import TaskMode, needs, only_if_not_done
from packhouse.tasks.logs import LogName, Logs, LogWriter, log_source

if TYPE_CHECKING:
    from packhouse.tasks.flow import FlowDataStore
    from packhouse.tasks.layout import TaskId

__all__ = ["TaskLogs"]

_LEGACY = ""
"""The source of logs from before there were sources."""


class TaskLogs:
    """The part of `TaskDataStore` that keeps logs."""

    _task: TaskId
    _parent: FlowDataStore
    _attempt: int | None

    if TYPE_CHECKING:

        @property
        def mode(self) -> TaskMode: ...  # noqa: D102 - the task's
        @property
        def is_done(self) -> bool: ...  # noqa: D102 - the task's
        async def ready(self) -> Any: ...  # noqa: D102 - the task's

    @only_if_not_done
    @needs("w")
    async def save_logs(self, logsource: str, stream_data: Mapping[str, object]) -> None:
        """Save logs whole, in place of what there is, with one durable commit.

        Args:
            logsource: who wrote them: `task`, `runtime`, or any text.
            stream_data: stream, any text → bytes-like, text (as UTF-8), BytesIO, `Path`, or a stream, sync or async.

        Raises:
            InvalidInput: content of another type.
        """
        contents = {
            _log(logsource, stream): log_source(data, f"the log {stream!r}") for stream, data in stream_data.items()
        }
        if contents:
            await self._logs().replace(contents)

    @only_if_not_done
    @needs("w")
    def log_writer(self, logsource: str, stream: str, *, flush_bytes: int = 64 << 10) -> LogWriter:
        """Open a log to append to while the task runs; readers see it grow.

        Args:
            logsource: who writes it.
            stream: which stream.
            flush_bytes: bytes that are collected before they are made durable; `flush` does it at once.
        """
        return LogWriter(self._logs(), _log(logsource, stream), flush_bytes=flush_bytes)

    @needs("r")
    async def load_logs(
        self, logsources: Iterable[str], stream: str, attempt_override: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Load a stream of several sources: (source, content), b"" where there is none."""
        await self.ready()
        logs = self._logs(attempt_override)
        return [(source, await logs.load(_log(source, stream)) or b"") for source in dict.fromkeys(logsources)]

    @needs("r")
    def follow_log(self, logsource: str | None, stream: str, *, interval: float | None = 0.5) -> AsyncIterator[bytes]:
        """Read a log from its beginning and go on with what is appended.

        It ends when the attempt is done, or when a later one has begun.

        Args:
            logsource: who writes it; None for all who do, one after the other in the order of `log_names`, and no line
                of one within a line of another.
            stream: which stream.
            interval: seconds between two looks; None to end at its present end.
        """
        log = _log(_LEGACY if logsource is None else logsource, stream)
        return self._following(log.stream if logsource is None else log, interval)

    @needs("r")
    async def load_log_legacy(self, stream: str, attempt_override: int | None = None) -> bytes:
        """Load a log from before there were sources; b"" when there is none."""
        await self.ready()
        return await self._logs(attempt_override).load(_log(_LEGACY, stream)) or b""

    @needs("r")
    async def get_log_size(self, logsources: Iterable[str], stream: str) -> int:
        """Tell the bytes of a stream, summed over sources. What was saved whole is not read."""
        await self.ready()
        logs = self._logs()
        return sum([await logs.size(_log(source, stream)) or 0 for source in logsources])

    @needs("r")
    async def get_legacy_log_size(self, stream: str) -> int | None:
        """Tell the bytes of a log from before there were sources; None when there is none."""
        await self.ready()
        return await self._logs().size(_log(_LEGACY, stream))

    def get_log_location(self, logprefix: str, stream: str) -> str:
        """Return where a log is: the store's URL and the log's name."""
        return f"{self._parent.datastore_root}#{self._logs().name(_log(logprefix, stream))}"

    async def log_names(self) -> list[LogName]:
        """List the logs of this attempt."""
        await self.ready()
        return await self._logs().names()

    @needs("d")
    async def scrub_logs(self, logsources: Iterable[str], stream: str, attempt_override: int | None = None) -> None:
        """Replace what there is of a stream by `[REDACTED source stream]`; a legacy log, too.

        No reader of the log sees the old text again. What of it is a blob (a log that was saved whole, a piece of more
        than 16 KiB) stays in the store, readable by its key, until there is a collector.
        """
        await self.ready()
        logs = self._logs(attempt_override)
        shown = {_log(source, stream): source for source in logsources} | {_log(_LEGACY, stream): stream}
        redacted = {
            log: f"[REDACTED {source} {stream}]".encode() for log, source in shown.items() if await logs.exists(log)
        }
        if redacted:
            await logs.replace(dict(redacted))

    async def _following(self, log: LogName | str, interval: float | None) -> AsyncIterator[bytes]:
        await self.ready()
        async with aclosing(self._logs().pieces(log, follow=interval)) as pieces:
            async for piece in pieces:
                yield piece

    def _logs(self, attempt: int | None = None) -> Logs:
        return Logs(self._parent.store, self._task, self._attempt if attempt is None else attempt)


def _log(source: object, stream: object) -> LogName:
    if isinstance(source, str) and isinstance(stream, str) and stream:
        return LogName(source, stream)
    raise InvalidInput(f"a log has a source and a stream, both text, not {source!r} and {stream!r}", kind="name")
