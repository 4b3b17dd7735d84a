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
        lists: list[str] = []
        names = _needed(packages, lists)
        if not names:  # an image without lists, most likely
            lists = _own_lists(PLACE / "lists")
            names = _needed(packages, lists)
        command = ["apt-get", "-qq", *lists, "download", *(names or packages)]
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


def _needed(packages: Sequence[str], lists: Sequence[str]) -> list[str]:
    """Return the packages and what they depend on, as far as the system has it not; none where nothing is known."""
    plan = ["apt-get", "-qq", *lists, "install", "--print-uris", "--no-install-recommends", *packages]
    done = subprocess.run(plan, capture_output=True, text=True, check=False, timeout=100)
    return [line.split()[1].partition("_")[0] for line in done.stdout.splitlines() if line.startswith("'")]


def _own_lists(folder: Path) -> list[str]:
    """Fetch the lists of packages into a folder, not into the system; returns what tells apt of them."""
    (folder / "partial").mkdir(parents=True, exist_ok=True)
    told = ["-o", f"Dir::State::lists={folder}", "-o", f"Dir::Cache={folder}", "-o", "Debug::NoLocking=1"]
    subprocess.run(["apt-get", "-qq", *told, "update"], capture_output=True, check=False, timeout=200)
    return told
