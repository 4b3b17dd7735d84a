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
        signal.signal(signal.SIGTERM, lambda *_: _end(server.pid))  # `timeout` tells it to a whole group
        threading.Thread(target=_read_to_end, args=(server.pid,), daemon=True).start()
        server.wait()
    _end(server.pid)
    shutil.rmtree(folder, ignore_errors=True)


def _read_to_end(group: int) -> None:
    while os.read(0, 4096):
        pass
    _end(group)


def _end(group: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)


if __name__ == "__main__":
    main()
