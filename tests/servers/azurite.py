"""Azurite: Microsoft's emulator of Azure Blob Storage, from npm; `azurite/package-lock.json` pins it with its hashes.

`python -m tests.servers.azurite` installs it into `.venv/servers`, starts it and prints what to set; Ctrl-C ends it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path

from packhouse.objects.azure.requests import VERSION
from packhouse.objects.azure.signing import sign_request
from tests.servers.running import PLACE, ROOT, ServerMissing, free_ports, guarded, wait_until

__all__ = ["ACCOUNT", "CONTAINER", "KEY", "Container", "azurite"]

ACCOUNT = "packhousetest"
CONTAINER = "packhouse"
KEY = base64.b64encode(b"the key of a test account, which must never show").decode()


@dataclass(frozen=True)
class Container:
    """Where a test server is."""

    endpoint: str
    account: str
    container: str
    key: str

    @property
    def connection_string(self) -> str:
        """As Azure's tools have it."""
        return f"AccountName={self.account};AccountKey={self.key};BlobEndpoint={self.endpoint};"


def install() -> Path:
    """Return the program, installed if it is not there yet.

    Raises:
        ServerMissing: there is no npm, or it cannot be fetched.
    """
    PLACE.mkdir(parents=True, exist_ok=True)
    place = PLACE / "azurite"
    program = place / "node_modules" / ".bin" / "azurite-blob"
    with (PLACE / "azurite.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # one worker fetches, the others wait for it
        if program.exists() and (place / "whole").exists():
            return program
        if shutil.which("npm") is None or shutil.which("node") is None:
            raise ServerMissing("no Azurite: there is no npm")
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
        for name in ("package.json", "package-lock.json"):
            shutil.copy(ROOT / "tests" / "servers" / "azurite" / name, place / name)
        try:
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False, timeout=500)
        except subprocess.TimeoutExpired as late:
            raise ServerMissing("Azurite could not be fetched in time") from late
        if done.returncode or not program.exists():
            raise ServerMissing(f"Azurite could not be installed: {done.stderr[-500:]}")
        (place / "whole").touch()
    return program


@contextmanager
def azurite(*, memory_mb: int = 1500) -> Iterator[Container]:
    """Run one on a free loopback port, with one container, until the block or this process ends.

    Args:
        memory_mb: what it may hold, what was replaced a while ago included; beyond that it answers 409.

    Raises:
        ServerMissing: it cannot be had.
        ServerFailed: it does not start.
    """
    program = install()
    (port,) = free_ports(1)
    endpoint = f"http://127.0.0.1:{port}/{ACCOUNT}"

    def command(folder: Path) -> list[str]:
        del folder  # all is in memory
        return [
            "env", f"AZURITE_ACCOUNTS={ACCOUNT}:{KEY}", str(program), "--blobHost", "127.0.0.1", "--blobPort",
            str(port), "--inMemoryPersistence", "--extentMemoryLimit", str(memory_mb), "--silent",
            "--disableTelemetry", "--blobKeepAliveTimeout", "30",
        ]  # fmt: skip

    def ready() -> bool:
        url = f"{endpoint}/{CONTAINER}?restype=container"
        headers = {"x-ms-date": formatdate(usegmt=True), "x-ms-version": VERSION, "content-length": "0"}
        headers["authorization"] = sign_request(ACCOUNT, base64.b64decode(KEY), "PUT", url, headers)
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="PUT"), timeout=5)
        except OSError:
            return False
        return True

    with guarded("azurite", command) as (folder, process):
        wait_until(ready, process, folder)
        yield Container(endpoint, ACCOUNT, CONTAINER, KEY)


def _main() -> None:
    with azurite() as found:
        print(f"export AZURE_STORAGE_CONNECTION_STRING='{found.connection_string}'", end="")
        print(f"  # az://{found.account}/{found.container}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    _main()
