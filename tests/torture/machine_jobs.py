"""What the state machine lets other processes do."""

from __future__ import annotations

import resource
import signal
from pathlib import Path

import anyio

from tests.torture.contract import subject
from tests.torture.model import pooled
from tests.torture.nest import Report


def save(report: Report, name: str, path: str, chosen: list[int], limit: int | None = None) -> bool:
    """Save these blobs; with a limit on the size of files it may fail, which is told."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    kind = subject(name)

    async def run() -> bool:
        async with kind.open(Path(path)) as store:
            report.line(begin=True)
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            try:
                await store.save_blobs([pooled(one) for one in chosen])
            except (kind.complaints.any, OSError):
                if limit is None:
                    raise
                return False
            finally:
                resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        return True

    return anyio.run(run)
