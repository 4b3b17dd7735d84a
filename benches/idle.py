"""How late a process wakes up that does nothing but sleep: what the machine itself adds to the gaps of an event loop.

Where a server runs on the same cores, whoever wants to run waits for one of them: `python -m benches.idle`.
"""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from benches.gaps import Gaps

if TYPE_CHECKING:
    from collections.abc import Iterator


class Idle:
    """What a sleeper measured, once its block has ended."""

    p99_ms: float = 0.0


@contextmanager
def idling() -> Iterator[Idle]:
    """Let another process tick during a block as `Gaps` does."""
    command = [sys.executable, "-m", "benches.idle"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()  # it is awake
        idle = Idle()
        try:
            yield idle
        finally:
            process.stdin.close()
            idle.p99_ms = float(process.stdout.readline())


async def _main() -> None:
    gaps = Gaps()
    async with gaps.watching():
        print(flush=True)
        await asyncio.to_thread(sys.stdin.read)
    print(gaps.p99_ms)


if __name__ == "__main__":
    asyncio.run(_main())
