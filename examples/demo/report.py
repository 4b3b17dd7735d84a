"""The table at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console
from rich.table import Table

__all__ = ["Report", "Row", "disk_usage"]


@dataclass(slots=True)
class Row:
    """One step: how many things of how many bytes it moved, what it added to the disk, how long it took."""

    step: str
    items: int = 0
    size: int = 0
    added: int | None = None
    seconds: float = 0.0


def disk_usage(folder: Path) -> int:
    """Sum what the files below a folder occupy on the disk: blocks, not lengths, so that metadata counts."""
    return sum(entry.lstat().st_blocks * 512 for entry in folder.rglob("*") if not entry.is_symlink())


@dataclass(slots=True)
class Report:
    """Collects the rows while the demo runs.

    Args:
        store: the store's folder; what it grows by is what a step adds.
    """

    store: Path
    console: Console = field(default_factory=lambda: Console(width=None if os.isatty(1) else 110, highlight=False))
    rows: list[Row] = field(default_factory=list)

    @contextmanager
    def step(self, step: str, *, grows: Path | None = None) -> Iterator[Row]:
        """Time one step and measure what a folder, the store unless told, grew by."""
        row = Row(step)
        folder = grows or self.store
        before = disk_usage(folder)
        began = time.perf_counter()
        yield row
        row.seconds = time.perf_counter() - began
        row.added = disk_usage(folder) - before
        self.rows.append(row)
        self.console.print(f"  {step}: {row.items:,} items, {row.size / 1e6:,.1f} MB in {row.seconds:.2f} s")

    def show(self) -> None:
        """Print all rows as a table."""
        table = Table("step", title="what it cost", title_justify="left")
        for heading in ("items", "MB", "MB added on disk", "saved : added", "seconds", "MB/s"):
            table.add_column(heading, justify="right")
        for row in self.rows:
            added = f"{row.added / 1e6:,.2f}" if row.added else "0"
            ratio = f"{row.size / row.added:,.1f} : 1" if row.added else "–"
            speed = f"{row.size / 1e6 / row.seconds:,.0f}"
            table.add_row(
                row.step, f"{row.items:,}", f"{row.size / 1e6:,.1f}", added, ratio, f"{row.seconds:.2f}", speed
            )
        self.console.print(table)
