"""Clocks and counters: wall time, CPU seconds, the peak of memory, quantiles."""

from __future__ import annotations

import ctypes
import gc
import resource
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


class Lap:
    """Wall and CPU seconds of one `with lap():` block; CPU counts all threads and finished child processes."""

    seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def lap() -> Iterator[Lap]:
    """Measure a block."""
    measured = Lap()
    cpu = _cpu_seconds()
    start = time.perf_counter()
    yield measured
    measured.seconds = time.perf_counter() - start
    measured.cpu_seconds = _cpu_seconds() - cpu


def _cpu_seconds() -> float:
    own = resource.getrusage(resource.RUSAGE_SELF)
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def megabytes_a_second(size: int, seconds: float) -> float:
    """Tell a speed in MB/s (10**6 bytes)."""
    return size / seconds / 1e6


def import_ms(package: str, *, times: int) -> float:
    """Tell what importing a package adds to the start of bare Python: new processes of both in turn, their medians."""
    _process_ms(f"import {package}")  # its files are read and compiled once
    pairs = [(_process_ms("pass"), _process_ms(f"import {package}")) for _ in range(times)]
    bare, importing = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    return statistics.median(importing) - statistics.median(bare)


def _process_ms(statement: str) -> float:
    with lap() as spent:
        subprocess.run([sys.executable, "-c", statement], check=True)
    return spent.seconds * 1e3


def quantile(values: Sequence[float], share: float) -> float:
    """Tell the value below which `share` of the values lie (nearest rank)."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


class MemoryPeak:
    """How far this process's memory rises above what it held at the start, in bytes.

    Linux keeps the peak (`VmHWM`) and lets a process reset its own.
    """

    def __init__(self) -> None:
        gc.collect()
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)  # what earlier work freed is given back, so that nothing rises unseen into it
        Path("/proc/self/clear_refs").write_text("5")
        self._start = _status("VmRSS")

    def rise(self) -> int:
        """Tell the peak above the start."""
        return max(_status("VmHWM") - self._start, 0)


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == field:
            return int(rest.split()[0]) * 1024
    raise RuntimeError(f"no {field} in /proc/self/status")
