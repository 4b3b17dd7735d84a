"""A progress bar for what takes longer than a second, and for people only."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

    from packhouse import Progress

__all__ = ["Meter"]

_SILENT_SECONDS = 1.0


class Meter:
    """Counts bytes; draws on a terminal's standard error once a second has passed, and cleans up after itself.

    Args:
        label: what is being done, in one or two words.
        total: bytes expected, or None where nobody knows.
    """

    def __init__(self, label: str, total: int | None = None) -> None:
        self._label = label
        self._total = total
        self._done = 0
        self._began = time.monotonic()
        self._drawn: tuple[Bars, TaskID] | None = None
        self._wanted = sys.stderr.isatty()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._drawn is not None:
            self._drawn[0].stop()

    def advance(self, count: int) -> None:
        """Note that so many more bytes are done."""
        self.reach(self._done + count)

    def reach(self, done: int, total: int | None = None) -> None:
        """Note how many bytes are done in all, and of how many if that is known by now."""
        self._done = done
        self._total = total if total is not None else self._total
        if not self._wanted or time.monotonic() - self._began < _SILENT_SECONDS:
            return
        progress, task = self._drawn or self._draw()
        progress.update(task, completed=self._done, total=self._total)

    def follow(self, progress: Progress) -> None:
        """Draw what an operation of the store reports; given to it as its callback."""
        self.reach(progress.size)

    def _draw(self) -> tuple[Bars, TaskID]:
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(binary_units=True))
        speed = (TransferSpeedColumn(), TimeRemainingColumn())
        progress = Progress(*columns, *speed, console=Console(stderr=True), transient=True)
        task = progress.add_task(self._label, total=self._total)
        progress.start()
        self._drawn = progress, task
        return self._drawn
