"""What kind of machine it was, so that a figure can be read later."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[1]


def describe(scratch: Path) -> dict[str, str | int | float]:
    """Describe the machine, and how busy it was when the run began."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "processor": _field("/proc/cpuinfo", "model name") or platform.processor(),
        "cores": os.cpu_count() or 0,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.release()}",
        "file_system": _file_system(scratch),
        "python": platform.python_version(),
        "load_average_before": round(os.getloadavg()[0], 2),
    }


def commit() -> str:
    """Name the commit that is measured, with a `+` where files were changed since; "" outside of a repository."""
    command = ["git", "describe", "--always", "--exclude=*", "--dirty=+", "--abbrev=7"]
    try:
        told = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    except OSError:
        return ""
    return told.stdout.strip()


def _field(path: str, name: str) -> str | None:
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return None
    return next((line.partition(":")[2].strip() for line in lines if line.partition(":")[0].strip() == name), None)


def _file_system(folder: Path) -> str:
    """Tell the type of the file system a folder lies on: the mount with the longest matching path."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return "unknown"
    inside = [(mount[1], mount[2]) for mount in mounts if folder.resolve().is_relative_to(mount[1])]
    return max(inside, key=lambda mount: len(mount[0]))[1] if inside else "unknown"
