"""What a writer that died leaves in a bucket is told by `packhouse verify`, and is nothing wrong."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import anyio
import pytest

import packhouse
from tests.blobs.conftest import Service, objects_of
from tests.blobs.test_bucket_sharing import process

COMMAND = Path(sys.executable).parent / "packhouse"
pytestmark = pytest.mark.parametrize("anyio_backend", ["asyncio"])


def verify(service: Service, url: str, *more: str) -> str:
    """What the command says, which must find nothing wrong."""
    done = subprocess.run(
        [COMMAND, "verify", "-s", url, *more],
        env={**os.environ, **service.environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


async def test_a_writer_killed_in_the_middle_of_an_upload_is_told(
    url: str, options: packhouse.StoreOptions, service: Service, anyio_backend: str
) -> None:
    async with packhouse.open(url, options=options) as store:
        (kept,) = await store.save_blobs([b"kept"])
        assert (await store.verify()).unfinished_uploads == ()
    assert "writer" not in verify(service, url)
    async with objects_of(url, options) as objects:
        with process(service, "endless", url, "0") as writer:
            with anyio.fail_after(60):
                while not (left := await objects.uploads()):  # noqa: ASYNC110 - of another process
                    await anyio.sleep(0.05)
            writer.send_signal(signal.SIGKILL)
            await anyio.to_thread.run_sync(writer.wait)
        names = [name for name, _ in left]
        assert f"unfinished upload of {names[0]}" in verify(service, url)
        document: dict[str, Any] = json.loads(verify(service, url, "--json"))
        assert (document["unfinished_uploads"], document["findings"]) == (names, [])
        for name, upload in left:
            await objects.requests.ask("DELETE", "end", name, query={"uploadId": upload})  # type: ignore[attr-defined] # of S3
        assert json.loads(verify(service, url, "--json"))["unfinished_uploads"] == []
    async with packhouse.open(url, options=options, mode="r") as store:
        assert await store.load(kept) == b"kept"


async def test_a_pack_that_no_commit_lists_is_told(
    url: str, options: packhouse.StoreOptions, service: Service, anyio_backend: str
) -> None:
    large = os.urandom(2 << 20)
    async with packhouse.open(url, options=options) as store:
        await store.save_blobs([large])
    async with objects_of(url, options) as objects:  # as if the writer had died before it published
        await objects.delete([info.name async for info in objects.list("index/")])
    assert "1 pack of no commit" in verify(service, url)
