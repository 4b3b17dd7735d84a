"""Fork jobs from a clean process that has imported everything and opened nothing, so that a round costs milliseconds.

A job is `module:function`; it gets a `Report` to write lines into (the oracle's pipe) and JSON arguments.
"""

from __future__ import annotations

import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

ROOT = Path(__file__).resolve().parents[2]


class Report:
    """A job's end of the line to its parent: every message is one `send`, so it is there or not.

    Not `write`: that is a system call which the harnesses count.
    """

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def line(self, **message: Any) -> None:
        """Tell the parent; when this returns the parent can read it, whatever happens to us."""
        self._socket.sendall(json.dumps(message).encode() + b"\n")


class JobFailed(Exception):
    """A job ended with an exception, or without a result."""


class Job:
    """A running job, seen from the parent."""

    def __init__(self, pid: int, pipe: int) -> None:
        self.pid = pid
        self._pidfd = os.pidfd_open(pid)
        self._pipe = pipe
        self._rest = b""
        self._eof = False
        self.lines: list[dict[str, Any]] = []

    def pump(self, timeout: float = 0.0) -> bool:
        """Read what the job has said; wait up to `timeout` seconds for something. False when its end is closed."""
        wait = timeout
        while not self._eof and select.select([self._pipe], [], [], wait)[0]:
            try:
                data = os.read(self._pipe, 1 << 20)
            except ConnectionResetError:
                data = b""
            if not data:
                self._eof = True
                break
            *whole, self._rest = (self._rest + data).split(b"\n")
            self.lines += [json.loads(line) for line in whole]
            wait = 0.0
        return not self._eof

    def wait_for(self, key: str, timeout: float = 60.0) -> dict[str, Any]:
        """Wait for a line that has `key`."""
        end = time.monotonic() + timeout
        seen = 0
        while time.monotonic() < end:
            alive = self.pump(0.0 if len(self.lines) > seen else max(0.0, min(1.0, end - time.monotonic())))
            while seen < len(self.lines):
                seen += 1
                if key in self.lines[seen - 1]:
                    return self.lines[seen - 1]
            if not alive:
                break
        raise JobFailed(f"no {key!r} from the job: {self.lines[-3:]}")

    def signal(self, number: int) -> None:
        """Send a signal; nothing happens when the job is gone."""
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(self._pidfd, number)

    def wait(self, timeout: float = 120.0) -> None:
        """Wait until the process is gone, its locks and descriptors with it."""
        end = time.monotonic() + timeout
        while not select.select([self._pidfd], [], [], 0.01)[0]:
            self.pump()
            if time.monotonic() > end:
                self.signal(signal.SIGKILL)
                raise JobFailed(f"a job did not end within {timeout:.0f} s: {self.lines[-3:]}")
        self.pump()

    def kill(self) -> None:
        """SIGKILL and wait."""
        self.signal(signal.SIGKILL)
        self.wait()

    def result(self, timeout: float = 120.0) -> Any:
        """Wait for the end and return what the job returned."""
        self.wait(timeout)
        for line in reversed(self.lines):
            if "result" in line:
                return line["result"]
            if "failed" in line:
                raise JobFailed(line["failed"])
        raise JobFailed(f"the job died without a result: {self.lines[-3:]}")

    @property
    def failures(self) -> list[str]:
        """The exception that ended it, if one did."""
        return [line["failed"] for line in self.lines if "failed" in line]

    def close(self) -> None:
        """Give up both descriptors."""
        for fd in (self._pidfd, self._pipe):
            os.close(fd)


class Nest:
    """The parent's end of the forking process."""

    def __init__(self, environment: dict[str, str] | None = None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.torture.nest", str(theirs.fileno())],
            pass_fds=[theirs.fileno()],
            cwd=ROOT,
            env={**os.environ, **(environment or {})},
        )
        theirs.close()

    @contextmanager
    def job(self, name: str, *arguments: Any) -> Iterator[Job]:
        """Run `module:function(report, *arguments)` in a fork; killed if it still runs when the block ends."""
        ours, theirs = socket.socketpair()
        with theirs:
            socket.send_fds(self._socket, [json.dumps([name, arguments]).encode()], [theirs.fileno()])
        job = Job(int(self._socket.recv(64)), ours.detach())
        try:
            yield job
        finally:
            job.kill()
            job.close()

    def call(self, name: str, *arguments: Any, timeout: float = 120.0) -> Any:
        """Run a job to its end and return its result."""
        with self.job(name, *arguments) as job:
            return job.result(timeout)

    def check(self, name: str, path: Path, claims: list[dict[str, Any]], *, leftovers: bool = True) -> list[str]:
        """Reopen a store in a process of its own and hold it against what is known; returns the violations."""
        try:
            found: list[str] = self.call("tests.torture.jobs:check", name, str(path), claims, leftovers)
        except JobFailed as failure:
            return [f"the store could not be checked: {failure}"]
        return found

    def close(self) -> None:
        """End the forking process."""
        self._socket.close()
        self._process.wait(10)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _child(name: str, arguments: list[Any], fd: int) -> None:
    report = Report(fd)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    try:
        module, function = name.split(":")
        report.line(result=getattr(importlib.import_module(module), function)(report, *arguments))
    except BaseException:  # noqa: BLE001 - the parent gets it
        report.line(failed=traceback.format_exc(limit=-12))
    finally:
        sys.stderr.flush()
        os._exit(0)


def _serve(fd: int) -> None:
    for module in ("anyio._backends._asyncio", "tests.torture.jobs", "packhouse"):
        try:
            importlib.import_module(module)
        except ImportError as error:
            if module != "packhouse":
                raise
            print(f"nest: {error}", file=sys.stderr)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    server = socket.socket(fileno=fd)
    while True:
        try:
            message, fds, _, _ = socket.recv_fds(server, 1 << 20, 1)
        except ConnectionError:
            break
        if not message:
            break
        pid = os.fork()
        if pid == 0:
            server.close()
            name, arguments = json.loads(message)
            _child(name, arguments, fds[0])
        os.close(fds[0])
        server.send(str(pid).encode())


if __name__ == "__main__":
    _serve(int(sys.argv[1]))
