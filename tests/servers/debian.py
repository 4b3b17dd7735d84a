"""Programs of Debian's own packages, unpacked into a folder: no root, nothing installed into the system."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.servers.running import PLACE, ServerMissing

__all__ = ["unpacked"]


def unpacked(name: str, program: str, packages: Sequence[str]) -> Path:
    """Return the folder that a program's packages were unpacked into, fetched if they are not there yet.

    Args:
        name: of the folder.
        program: a path in it, by which to see that it is whole.
        packages: what to fetch, with what they depend on and the system has not.

    Raises:
        ServerMissing: this is no Debian, or they cannot be fetched.
    """
    PLACE.mkdir(parents=True, exist_ok=True)
    with (PLACE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker fetches, the others wait for it
        return _fetched(name, program, packages)


def _fetched(name: str, program: str, packages: Sequence[str]) -> Path:
    place = PLACE / name
    if (place / program).exists():
        return place
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        raise ServerMissing(f"no {name}: its packages are Debian's, and this is none")
    fetched = PLACE / f"{name}.fetched"
    shutil.rmtree(fetched, ignore_errors=True)
    fetched.mkdir(parents=True)
    try:
        plan = ["apt-get", "-qq", "install", "--print-uris", "--no-install-recommends", *packages]
        done = subprocess.run(plan, capture_output=True, text=True, check=False, timeout=100)
        names = [line.split()[1].partition("_")[0] for line in done.stdout.splitlines() if line.startswith("'")]
        command = ["apt-get", "-qq", "download", *(names or packages)]
        done = subprocess.run(command, cwd=fetched, capture_output=True, text=True, check=False, timeout=300)
        for package in fetched.glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, place], capture_output=True, check=False, timeout=100)
    except subprocess.TimeoutExpired as late:
        shutil.rmtree(place, ignore_errors=True)
        raise ServerMissing(f"{name} could not be fetched in time: {late}") from late
    finally:
        shutil.rmtree(fetched, ignore_errors=True)
    if not (place / program).exists():
        raise ServerMissing(f"{name} could not be fetched: {done.stderr[-300:].strip()}")
    return place
