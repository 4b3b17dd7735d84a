"""The table at the end."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

import packhouse

__all__ = ["Report", "Row", "disk_usage"]

BEGIN, END = "<!-- demo:begin -->", "<!-- demo:end -->"


@dataclass(slots=True)
class Row:
    """One step: how many things of how many bytes it moved, what it added, how long it took."""

    step: str
    items: int = 0
    size: int = 0
    added: int = 0
    new: int | None = None
    stored: int = 0
    seconds: float = 0.0


def disk_usage(folder: Path) -> int:
    """Sum what the files below a folder occupy on the disk: blocks, not lengths, so that metadata counts."""
    return sum(entry.lstat().st_blocks * 512 for entry in folder.rglob("*") if not entry.is_symlink())


@dataclass(slots=True)
class Report:
    """Collects the rows while the demo runs."""

    console: Console = field(default_factory=lambda: Console(width=None if os.isatty(1) else 110, highlight=False))
    rows: list[Row] = field(default_factory=list)

    @asynccontextmanager
    async def step(
        self, step: str, *, grows: Path | None = None, store: packhouse.BlobStore | None = None
    ) -> AsyncIterator[Row]:
        """Time one step; what a folder and a store grew by is measured before and after, outside the time."""
        row = Row(step)
        usage = disk_usage(grows) if grows else 0
        before = await store.survey() if store else None
        began = time.perf_counter()
        yield row
        row.seconds = time.perf_counter() - began
        row.added = disk_usage(grows) - usage if grows else 0
        if store and before:
            after = await store.survey()
            row.new = after.chunk_bytes - before.chunk_bytes
            row.stored = after.stored_bytes - before.stored_bytes
        self.rows.append(row)
        self.console.print(f"  {step}: {row.items:,} items, {row.size / 1e6:,.1f} MB in {row.seconds:.2f} s")

    def markdown(self) -> str:
        """Make the README's table of all rows."""
        lines = ["| step | items | MB | dedup | compression | MB/s |", "| --- | ---: | ---: | --- | --- | ---: |"]
        lines += [
            f"| {row.step} | {row.items:,} | {row.size / 1e6:,.1f} | {_ratio(row.size, row.new)} "
            f"| {_ratio(row.new, row.stored)} | {row.size / 1e6 / row.seconds:,.0f} |"
            for row in self.rows
        ]
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
        where = f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores, {memory:.1f} GiB"
        today = datetime.now(UTC).date().isoformat()
        return "\n".join([*lines, "", f"{today}, {where}; files come from the page cache.", ""])

    def write(self, page: Path) -> None:
        """Replace what stands between a page's markers by the table.

        Raises:
            ValueError: it has no markers.
        """
        before, begin, rest = page.read_text("utf-8").partition(BEGIN)
        _, end, after = rest.partition(END)
        if not end:
            raise ValueError(f"{page.name} has no place for the table: {BEGIN} … {END}")
        page.write_text(f"{before}{begin}\n{self.markdown()}{end}{after}", "utf-8")

    def show(self) -> None:
        """Print all rows as a table."""
        table = Table("step", title="what it cost", title_justify="left")
        for heading in ("items", "MB", "dedup", "compression", "MB on disk", "seconds", "MB/s"):
            table.add_column(heading, justify="right")
        for row in self.rows:
            table.add_row(
                row.step,
                f"{row.items:,}",
                f"{row.size / 1e6:,.1f}",
                _ratio(row.size, row.new),
                _ratio(row.new, row.stored),
                f"{row.added / 1e6:,.2f}" if row.added else "",
                f"{row.seconds:.2f}",
                f"{row.size / 1e6 / row.seconds:,.0f}",
            )
        self.console.print(table)
        self.console.print(
            "dedup: bytes saved : bytes that were new; compression: new bytes : the same as stored;\n"
            "MB on disk: what the folder grew by, in blocks, index and names included"
        )


def _ratio(whole: int | None, part: int | None) -> str:
    if whole is None or part is None:
        return ""
    return f"{whole / part:,.1f} : 1" if part else "nothing new" if whole else ""
