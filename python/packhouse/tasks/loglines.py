"""Logs of several sources, put one behind the other so that no line of any is torn."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packhouse.tasks.logs import LogName

__all__ = ["Lines"]

_LONGEST = 64 << 10


class Lines:
    """Holds back the begun line of each log until its end comes.

    A line ends with a newline or, as that of a bar which moves, a carriage return. One of more than 64 KiB is not held.
    """

    def __init__(self) -> None:
        self._held: dict[LogName, bytes] = {}
        self._open: LogName | None = None
        """Whose line was handed out last, without its newline."""

    def add(self, log: LogName, piece: bytes) -> bytes:
        """Take a piece of a log; return what may be handed out."""
        held = self._held.pop(log, b"") + piece
        end = max(held.rfind(b"\n"), held.rfind(b"\r")) + 1
        if len(held) - end <= _LONGEST:
            held, self._held[log] = held[:end], held[end:]
        return self._handed_out(log, held)

    def rest(self, log: LogName) -> bytes:
        """Return what is still held of a log that has ended."""
        return self._handed_out(log, self._held.pop(log, b""))

    def _handed_out(self, log: LogName, data: bytes) -> bytes:
        if not data:
            return data
        between = b"" if self._open in (None, log) else b"\n"
        self._open = None if data.endswith(b"\n") else log
        return between + data
