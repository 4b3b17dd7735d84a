"""Where the stores under test stand."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

MEMORY = Path("/dev/shm")


@contextmanager
def scratch_folder(*, durable: bool = False) -> Iterator[Path]:
    """A folder that vanishes; in memory where there is such a place, because a kill loses nothing that was written."""
    room = MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2 << 30
    with tempfile.TemporaryDirectory(prefix="packhouse-torture-", dir=MEMORY if room and not durable else None) as name:
        yield Path(name)
