"""A progress bar for what takes longer than a second, and for people only."""

from __future__ import annotations

import sys
import threading
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
        counts: False for what tells nothing before its end: then time is all there is to show.
    """

    def __init__(self, label: str, total: int | None = None, *, counts: bool = True) -> None:
        self._label = label
        self._total = total
        self._counts = counts
        self._done = 0
        self._drawn: tuple[Bars, TaskID] | None = None
        self._drawing = threading.Lock()
        self._timer = threading.Timer(_SILENT_SECONDS, self._draw) if sys.stderr.isatty() else None

    def __enter__(self) -> Self:
        if self._timer is not None:
            self._timer.daemon = True
            self._timer.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        with self._drawing:
            timer, self._timer = self._timer, None
            if timer is not None:
                timer.cancel()
            if self._drawn is not None:
                self._drawn[0].stop()

    @property
    def watched(self) -> bool:
        """Whether there is anybody to draw it for."""
        return self._timer is not None

    def advance(self, count: int) -> None:
        """Note that so many more bytes are done."""
        self.reach(self._done + count)

    def reach(self, done: int, total: int | None = None) -> None:
        """Note how many bytes are done in all, and of how many if that is known by now."""
        self._done = done
        self._total = total if total is not None else self._total
        if self._drawn is not None:
            progress, task = self._drawn
            progress.update(task, completed=self._done, total=self._total)

    def follow(self, progress: Progress) -> None:
        """Draw what an operation of the store reports; given to it as its callback."""
        self.reach(progress.size)

    def _draw(self) -> None:
        """Begin to draw, in the timer's thread, unless all is over by now."""
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            DownloadColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
            TransferSpeedColumn,
        )

        counting = (DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn())
        told = counting if self._counts else (TimeElapsedColumn(),)
        with self._drawing:
            if self._timer is None:
                return
            bars = (TextColumn("{task.description}"), BarColumn(), *told)
            progress = Progress(*bars, console=Console(stderr=True), transient=True)
            task = progress.add_task(self._label, total=self._total, completed=self._done)
            progress.start()
            self._drawn = progress, task
