"""Hold a forked writer under strace: list its system calls, or kill it or fail it at the n-th of one kind.

strace counts per thread: a point is (call, n), hit by whichever thread comes there first.
"""

from __future__ import annotations

import re
import select
import shutil
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.torture.nest import Job

CHANGING = (
    "openat,creat,write,writev,pwrite64,pwritev,pwritev2,copy_file_range,fsync,fdatasync,syncfs,sync_file_range,"
    "link,linkat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,ftruncate,fallocate,flock,fcntl,close"
)
"""The calls that change something others can see; a kill at any other leaves what a kill at the next of these does."""

_CALL = re.compile(r"^(?P<thread>\d+) +(?P<name>\w+)\((?P<rest>.*)$")


class Point(NamedTuple):
    """The n-th call of one kind in one thread."""

    call: str
    n: int

    def __str__(self) -> str:
        return f"{self.call} #{self.n}"


class Call(NamedTuple):
    """One line of a trace."""

    thread: str
    name: str
    rest: str

    @property
    def descriptor(self) -> str:
        """The first argument with its path, as strace -y shows it."""
        return self.rest.split(">", 1)[0] if "<" in self.rest.split(",", 1)[0] else ""


def why_not() -> str | None:
    """Why nothing can be traced here; `None` when it can."""
    if shutil.which("strace") is None:
        return "strace is not installed"
    try:
        done = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False, timeout=30)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"strace does not run: {error}"
    return None if done.returncode == 0 else f"strace may not trace here: {done.stderr.decode().strip()[:120]}"


@contextmanager
def traced(job: Job, log: Path, calls: str, inject: str = "", watch: str = "") -> Iterator[None]:
    """Attach to a job that waits; on leaving the block strace has ended with it. `watch`: calls to list besides."""
    shown = f"{calls},{watch}" if watch else calls
    command = ["strace", "-f", "-y", "-p", str(job.pid), "-o", str(log), "-e", f"trace={shown}"]
    if inject:
        command += ["-e", f"inject={calls}:{inject}"]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as strace:
        try:
            assert strace.stderr is not None
            end = time.monotonic() + 20
            said = b""
            while b"attached" not in said:
                if not select.select([strace.stderr], [], [], 1)[0] and time.monotonic() > end:
                    raise TimeoutError("strace did not attach")
                said += (line := strace.stderr.readline())
                if not line:
                    raise OSError(f"strace did not attach: {said.decode()}")
            yield
            job.kill()
            strace.communicate(timeout=20)
        finally:
            if strace.poll() is None:
                strace.kill()


def calls_of(log: Path) -> list[Call]:
    """The calls of a trace, in the order of their beginnings."""
    found = (_CALL.match(line) for line in log.read_text(errors="replace").splitlines())
    return [Call(match["thread"], match["name"], match["rest"]) for match in found if match]


def points(log: Path, within: Path | None = None) -> list[Point]:
    """The points of a trace in their order; only those that name something `within` a folder when one is given."""
    counts: Counter[tuple[str, str]] = Counter()
    seen: dict[Point, None] = {}
    for call in calls_of(log):
        counts[call.thread, call.name] += 1
        if within is None or str(within) in call.rest:
            seen[Point(call.name, counts[call.thread, call.name])] = None
    return list(seen)


def sample(everything: list[Point], most: int) -> list[Point]:
    """Every k-th, so that at most `most` stay."""
    step = max(1, -(-len(everything) // most))
    return everything[step // 2 :: step]
