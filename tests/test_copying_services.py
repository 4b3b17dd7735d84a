"""`packhouse copy` between a folder and each service, by their URLs alone."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest

import packhouse
from tests.servers.azurite import Container
from tests.servers.seaweedfs import Bucket

COMMAND = Path(sys.executable).parent / "packhouse"


def run(environment: dict[str, str], *arguments: str) -> bytes:
    done = subprocess.run([COMMAND, *arguments], env=environment, capture_output=True, timeout=100, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stderr.decode()}"
    return done.stdout


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_store_goes_round_all_services_and_comes_back(
    bucket: Bucket, gcs_emulator: str, azure_emulator: Container, tmp_path: Path, anyio_backend: str
) -> None:
    environment = os.environ | {
        "AWS_ENDPOINT_URL": bucket.endpoint,
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": bucket.access,
        "AWS_SECRET_ACCESS_KEY": bucket.secret,
        "STORAGE_EMULATOR_HOST": gcs_emulator,
        "AZURE_STORAGE_CONNECTION_STRING": azure_emulator.connection_string,
    }
    large = secrets.token_bytes(10 << 20)
    async with packhouse.open(tmp_path / "begin") as store:
        saved = await store.save_blobs([b"small", large, *(b"%d" % number for number in range(200))])
        await store.names.put("dir/name", {"n": 1}, refs=[saved[1].key])
    prefix = secrets.token_hex(4)
    places = [
        str(tmp_path / "begin"),
        f"gs://packhouse/{prefix}",
        f"az://{azure_emulator.account}/{azure_emulator.container}/{prefix}",
        f"s3://packhouse/{prefix}",
        str(tmp_path / "end"),
    ]
    for source, target in pairwise(places):
        told = json.loads(run(environment, "copy", source, target, "--json").splitlines()[-1])
        assert told["blobs"] == 202, told
    async with packhouse.open(tmp_path / "end", mode="r") as store:
        assert await store.load(saved[1].key) == large
        assert (await store.names.get("dir/name")).doc == {"n": 1}
        assert (await store.verify()).findings == ()
    assert b"dir/name" in run(environment, "ls", "-s", places[2])
