"""Starting a server on free loopback ports, and waiting until it answers."""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

__all__ = ["NO_SERVER", "PLACE", "ServerFailed", "ServerMissing", "free_ports", "guarded", "wait_until"]

NO_SERVER = "no server: "
"""Begins the reason of a test that is skipped for want of a server: the summary has a line for each."""
ROOT = Path(__file__).resolve().parents[2]
PLACE = ROOT / ".venv" / "servers"
"""Where servers are installed."""


class ServerMissing(RuntimeError):
    """The server cannot be had on this machine."""


class ServerFailed(RuntimeError):
    """The server did not come up."""


def free_ports(count: int) -> list[int]:
    """Find ports that are free now, below those that the system gives to clients."""
    held: list[socket.socket] = []
    start = 20_000 + (hash(tempfile.gettempprefix()) + time.time_ns() // 1000) % 9000
    for port in range(start, 32_000):
        taken = socket.socket()
        try:
            taken.bind(("127.0.0.1", port))
        except OSError:
            taken.close()
            continue
        held.append(taken)
        if len(held) == count:
            break
    ports = [taken.getsockname()[1] for taken in held]
    for taken in held:
        taken.close()
    return ports


@contextmanager
def guarded(name: str, command: Callable[[Path], Sequence[str]]) -> Iterator[tuple[Path, subprocess.Popen[bytes]]]:
    """Run a server in a folder of its own; it ends with the block, and with this process."""
    folder = Path(tempfile.mkdtemp(prefix=f"packhouse-{name}-"))
    arguments = [sys.executable, "-m", "tests.servers.guard", str(folder), *command(folder)]
    # In a session of its own: what ends a whole group must not end it before it has ended the server.
    process = subprocess.Popen(arguments, stdin=subprocess.PIPE, cwd=ROOT, start_new_session=True)
    try:
        yield folder, process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(timeout=30)


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], folder: Path, seconds: float = 30) -> None:
    """Ask until the server answers.

    Raises:
        ServerFailed: it does not; the end of its log is in the message, and those of what it wrote to logs of its own.
    """
    end = time.monotonic() + seconds
    while time.monotonic() < end and process.poll() is None:
        if ready():
            return
        time.sleep(0.05)
    logs = [folder / "log", *sorted(folder.glob("*.log"))]
    told = [f"{log.name}:\n{log.read_text('utf-8', 'replace')[-2000:]}" for log in logs if log.exists()]
    raise ServerFailed("\n".join(["the server did not come up", *told]))
