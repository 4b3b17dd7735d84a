"""A batch in a bucket, near and 20 ms away: save, save again, load whole, load 1 %. SeaweedFS speaks S3."""

from __future__ import annotations

import random
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from benches import data, peers
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.delaying import Counted, delayed
from benches.measure import MemoryPeak, lap, megabytes_a_second
from benches.peers.buckets import BucketPeer, Place
from tests.servers.running import ServerMissing
from tests.servers.seaweedfs import seaweedfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from typing_extensions import Buffer

    from benches.peers.contract import Peer
    from benches.scale import Shape

LATENCY = 0.02
_TRIED = (8, 16, 32, 64, 128)


@contextmanager
def _seaweedfs() -> Iterator[Place]:
    with seaweedfs() as bucket:
        yield Place(bucket.endpoint, bucket.bucket, bucket.access, bucket.secret)


def case(name: str, server: str, start: Callable[[], AbstractContextManager[Place]]) -> Case:
    """Return the case on one server."""

    async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
        """Measure one peer on a server of its own."""
        peer = cast("BucketPeer", peer_class(setting.folder / "store"))
        where, _, shape_name = setting.variant.partition("/")
        shape = setting.scale.shape(shape_name)
        with _served(where, start) as (place, counted):
            peer.place = place
            await tune(peer, shape)
            blobs = data.blobs("random", count=shape.count, size=shape.size)
            return await _measure(peer, blobs, shape, counted)

    return Case(
        name=name,
        title=f"A batch in a bucket of {server}: save, save again, load, load 1 % (requests are counted 20 ms away)",
        columns=_COLUMNS,
        run=run,
        variants=lambda _scale: ("near/10KiB", "near/4MiB", "20ms/10KiB", "20ms/4MiB"),
        only=peers.BUCKETS,
    )


@contextmanager
def _served(where: str, start: Callable[[], AbstractContextManager[Place]]) -> Iterator[tuple[Place, Counted | None]]:
    try:
        with start() as place:
            if where == "near":
                yield place, None
                return
            port = urlsplit(place.endpoint).port or 0
            with delayed(port, LATENCY) as proxy:
                endpoint = place.endpoint.replace(f":{port}", f":{proxy.port}")
                yield replace(place, endpoint=endpoint), proxy
    except ServerMissing as missing:
        raise NotImplementedError(str(missing)) from missing


async def tune(peer: BucketPeer, shape: Shape) -> None:
    """Go through all calls once; where concurrency is the user's to choose, choose what saves fastest."""
    count = min(256, max(4, shape.count // 10))
    best = 0.0
    for number, in_flight in enumerate(_TRIED if peer.tunable else _TRIED[:1]):
        blobs = data.blobs("random", count=count, size=shape.size, seed=100 + number)
        before, peer.in_flight = peer.in_flight, in_flight
        await peer.open()
        start = time.perf_counter()
        keys = await peer.save(blobs)
        speed = count / (time.perf_counter() - start)
        await peer.load(keys, lambda _blob: None)
        await peer.close()
        if speed > best or not number:
            best = speed
        else:
            peer.in_flight = before


async def _measure(peer: BucketPeer, blobs: Sequence[bytes], shape: Shape, counted: Counted | None) -> Metrics:
    asked = counted.requests if counted is not None else None
    metrics: Metrics = {"bytes": shape.total}

    def note(name: str) -> None:
        if asked is not None:
            metrics[f"{name}_requests"] = asked()

    await peer.open()
    if asked is not None:
        asked()
    memory = MemoryPeak()
    with lap() as save:
        keys = await peer.save(blobs)
    metrics["save_mib"] = memory.rise() / 2**20
    note("save")
    with lap() as again:
        await peer.save(blobs)
    note("again")
    await peer.close()
    loads = await loaded(peer, keys, shape.total)
    note("load")
    few = random.Random(1).sample(keys, max(1, len(keys) // 100))
    await peer.open()
    if asked is not None:
        asked()
    with lap() as part:
        await peer.load(few, lambda _blob: None)
    note("part")
    await peer.close()
    return metrics | loads | {
        "in_flight": peer.in_flight,
        "save_mbs": megabytes_a_second(shape.total, save.seconds),
        "save_blobs": shape.count / save.seconds,
        "save_cpu_seconds": save.cpu_seconds,
        "again_mbs": megabytes_a_second(shape.total, again.seconds),
        "part_blobs": len(few) / part.seconds,
    }  # fmt: skip


async def loaded(peer: BucketPeer, keys: Sequence[str], total: int) -> Metrics:
    """Load everything with a handle that knows nothing yet."""
    size = 0

    def take(blob: Buffer) -> None:
        nonlocal size
        size += len(memoryview(blob))

    memory = MemoryPeak()
    await peer.open()
    with lap() as load:
        await peer.load(keys, take)
    await peer.close()
    if size != total:
        raise RuntimeError(f"{peer.label} loaded {size} bytes of {total}")
    return {
        "load_mbs": megabytes_a_second(total, load.seconds),
        "load_blobs": len(keys) / load.seconds,
        "load_cpu_seconds": load.cpu_seconds,
        "load_mib": memory.rise() / 2**20,
    }


_COLUMNS = (
    Column("save_mbs", "save MB/s", 1),
    Column("save_blobs", "blobs/s"),
    Column("save_requests", "requests"),
    Column("save_cpu_seconds", "CPU s", 2),
    Column("save_mib", "MiB"),
    Column("again_mbs", "again MB/s", 1),
    Column("load_mbs", "load MB/s", 1),
    Column("load_blobs", "blobs/s"),
    Column("load_requests", "requests"),
    Column("load_cpu_seconds", "CPU s", 2),
    Column("load_mib", "MiB"),
    Column("part_blobs", "1 % blobs/s"),
    Column("part_requests", "requests"),
)

CASE = case("bucket", "SeaweedFS", _seaweedfs)
