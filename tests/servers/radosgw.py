"""Ceph's gateway for S3, on a Ceph in memory, of Debian's packages: a second code base with ideas of its own.

`python -m tests.servers.radosgw` fetches it (70 MB; 260 MB in `.venv/servers`) and tries it; tests use it where it is
there, and `make test` fetches it first where `CI` is set.
"""

from __future__ import annotations

import os
import shutil
import time
import urllib.request
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from packhouse.objects.s3.signing import UNSIGNED, Credentials, sign_headers
from tests.servers.debian import unpacked
from tests.servers.running import PLACE, ROOT, ServerMissing, free_ports, guarded, wait_until
from tests.servers.seaweedfs import ACCESS, BUCKET, SECRET, Bucket

__all__ = ["radosgw"]

_CONFIGURATION = """
[global]
fsid = {fsid}
mon initial members = a
mon host = [v2:127.0.0.1:{mon}]
public addr = 127.0.0.1
cluster addr = 127.0.0.1
ms bind port min = {first}
ms bind port max = {last}
auth cluster required = none
auth service required = none
auth client required = none
mon allow pool size one = true
mon data avail crit = 0
mon data avail warn = 0
mon data = {here}/mon
osd data = {here}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd crush chooseleaf type = 0
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
run dir = {here}
log file = {here}/$name.log
admin socket = {here}/$name.asok
pid file = {here}/$name.pid
{plugins}
[client.rgw]
keyring = {here}/keyring
rgw data = {here}/rgw
rgw frontends = beast endpoint=127.0.0.1:{s3}
ms mon client mode = crc
auth client required = none
"""
_PLUGINS = """
plugin dir = {libraries}/ceph
erasure code dir = {libraries}/ceph/erasure-code
osd class dir = {libraries}/rados-classes
"""


@contextmanager
def radosgw(*, fetch: bool = False) -> Iterator[Bucket]:
    """Run one on free loopback ports, with one bucket, until the block or this process ends.

    Raises:
        ServerMissing: it is not here, and not to be fetched or cannot be had.
        ServerFailed: it does not start.
    """
    environment, plugins = _find(fetch=fetch)
    s3, mon, *others = sorted(free_ports(8))
    fsid = str(uuid.uuid4())

    def command(folder: Path) -> list[str]:
        text = _CONFIGURATION.format(
            fsid=fsid, mon=mon, first=others[0], last=others[-1] + 20, here=folder, s3=s3, plugins=plugins
        )
        (folder / "ceph.conf").write_text(text)
        variables = [f"{name}={value}" for name, value in environment.items()]
        script = str(ROOT / "tests" / "servers" / "radosgw.sh")
        return ["env", *variables, f"CEPH_CONF={folder}/ceph.conf", "sh", script, ACCESS, SECRET, str(mon), fsid]

    def ready() -> bool:
        url = f"http://127.0.0.1:{s3}/{BUCKET}"
        headers = {"host": f"127.0.0.1:{s3}", "x-amz-content-sha256": UNSIGNED, "content-length": "0"}
        headers = sign_headers(Credentials(ACCESS, SECRET), "us-east-1", "PUT", url, headers)
        try:
            urllib.request.urlopen(urllib.request.Request(url, headers=headers, method="PUT"), timeout=5)
        except OSError:
            return False
        return True

    with guarded("radosgw", command) as (folder, process):
        wait_until(ready, process, folder, seconds=100)
        yield Bucket(f"http://127.0.0.1:{s3}", BUCKET, ACCESS, SECRET)


def _find(*, fetch: bool) -> tuple[Mapping[str, str], str]:
    """Return what the environment must say for its programs to be found, and what its configuration must."""
    if all(shutil.which(program) for program in ("radosgw", "radosgw-admin", "ceph", "ceph-mon", "ceph-osd")):
        return {}, ""
    if not fetch and not (PLACE / "radosgw").exists():
        raise ServerMissing("Ceph's radosgw is not installed: `python -m tests.servers.radosgw` fetches it")
    root = unpacked("radosgw", "usr/bin/radosgw", ["ceph-mon", "ceph-osd", "radosgw"])
    libraries = next((root / "usr/lib").glob("*-linux-gnu"))  # of this processor
    found = [libraries, libraries / "ceph", root / "lib" / libraries.name]
    environment = {
        "LD_LIBRARY_PATH": ":".join(map(str, found)),
        "PATH": f"{root}/usr/bin:{os.environ['PATH']}",
        "PYTHONPATH": f"{root}/usr/lib/python3/dist-packages",
    }
    return environment, _PLUGINS.format(libraries=libraries)


def _main() -> None:
    began = time.monotonic()
    with radosgw(fetch=True) as bucket:
        print(f"radosgw answered at {bucket.endpoint} after {time.monotonic() - began:.0f} s")


if __name__ == "__main__":
    _main()
