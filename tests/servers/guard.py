"""Runs a server until standard input ends, then stops it and removes its folder: whatever becomes of who started it.

`python -m tests.servers.guard FOLDER COMMAND…`; the folder holds `log`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path


def main() -> None:
    """Start, wait, stop, remove."""
    folder = Path(sys.argv[1])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the tests; our input ends with them
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(
            sys.argv[2:], cwd=folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
        threading.Thread(target=_read_to_end, args=(server.pid,), daemon=True).start()
        server.wait()
    with contextlib.suppress(ProcessLookupError):
        os.killpg(server.pid, signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _read_to_end(group: int) -> None:
    while sys.stdin.buffer.read(4096):
        pass
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
