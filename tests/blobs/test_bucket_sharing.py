"""Several processes on one bucket: names taken, deleted and taken again; batches, and a process that is killed."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import anyio
import pytest

import packhouse
from tests.blobs.conftest import Service, objects_of, services

DICE = random.Random(9)


@contextmanager
def process(service: Service, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A writer of its own process."""
    surroundings = {**os.environ, **service.environment}
    command = [sys.executable, "-m", "tests.blobs.bucket_writer", *arguments]
    started = subprocess.Popen(command, env=surroundings, stdout=subprocess.PIPE, text=True)
    try:
        yield started
    finally:
        started.kill()
        started.wait()
        if started.stdout is not None:
            started.stdout.close()


@services
async def test_a_deleted_name_is_gone_and_can_be_taken_again(url: str, options: packhouse.StoreOptions) -> None:
    long = "x" * 300
    async with packhouse.open(url, options=options) as store, packhouse.open(url, options=options) as other:
        for name in ("dir/a", "dir/b", long):
            await store.names.put(name, {"at": name})
        first = await store.names.put("dir/a", 2)
        with pytest.raises(packhouse.NameConflict):
            await other.names.delete("dir/b", version=first)
        await other.names.delete("dir/a", version=first)
        await other.names.delete(long)
        for gone in ("dir/a", long):
            with pytest.raises(packhouse.NameNotFound):
                await store.names.get(gone)
            with pytest.raises(packhouse.NameNotFound):
                await store.names.delete(gone)
            with pytest.raises(packhouse.NameNotFound):
                await store.names.replace(gone, 3, version=first)
        assert [name async for name in store.names.list()] == ["dir/b"]
        second = await store.names.put_if_absent("dir/a", 4)
        assert second != first
        assert [name async for name in other.names.list("dir/")] == ["dir/a", "dir/b"]
        assert (await other.names.get("dir/a")).doc == 4
        await store.names.delete("dir/b")
        await store.names.put("dir/b", 5)
        assert (await store.verify()).findings == ()


@services
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_two_processes_take_and_delete_a_name_and_no_update_is_lost(
    url: str, options: packhouse.StoreOptions, service: Service, anyio_backend: str
) -> None:
    async with packhouse.open(url, options=options) as store:
        await store.names.put("count", 0)
        with process(service, "names", url, "15") as one, process(service, "names", url, "15") as two:
            for each in (one, two):
                assert await anyio.to_thread.run_sync(each.wait, 60) == 0
        assert (await store.names.get("count")).doc == 30
        assert [name async for name in store.names.list()] == ["count"]


@pytest.mark.parametrize("service", ["s3", "ceph", "gs", "az"], indirect=True)
@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_four_processes_write_one_is_killed_and_nothing_acknowledged_is_lost(
    url: str, options: packhouse.StoreOptions, service: Service, anyio_backend: str
) -> None:
    async with packhouse.open(url, options=options):
        pass
    with (
        process(service, "blobs", url, "0") as killed,
        process(service, "blobs", url, "1") as one,
        process(service, "blobs", url, "2") as two,
        process(service, "blobs", url, "3") as three,
    ):
        told: list[str] = []
        assert killed.stdout is not None
        for _ in range(6):
            told += (await anyio.to_thread.run_sync(killed.stdout.readline)).split()
        await anyio.sleep(DICE.random() / 10)
        killed.send_signal(signal.SIGKILL)
        told += (await anyio.to_thread.run_sync(killed.stdout.read)).split()
        for each in (one, two, three):
            out, _ = await anyio.to_thread.run_sync(each.communicate)
            assert each.returncode == 0
            told += out.split()
    acknowledged = [key for key in dict.fromkeys(told) if len(key) == 64]
    assert len(acknowledged) > 3 * 8 * 2
    async with packhouse.open(url, options=options, mode="r") as store:
        loaded = {key async for key, _ in store.load_blobs(acknowledged)}
        assert loaded == set(acknowledged)
        everything = store.keys()
        listed = [key async for key, _ in everything]
        assert set(acknowledged) <= set(listed)
        assert len({key async for key, _ in store.load_blobs(listed)}) == len(listed), "nothing half done is visible"
        report = await store.verify()
    assert report.findings == ()
    async with objects_of(url, options) as objects:  # what a killed process leaves is an upload that nobody sees
        assert all(name.startswith("packs/") for name, _ in await objects.uploads())
