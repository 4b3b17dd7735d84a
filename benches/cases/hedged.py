"""Reads of which one in a hundred is answered a second late: what asking twice does to them, and what it costs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import anyio

from benches import data
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.cases.remote import LATENCY, put_aside, serving
from benches.delaying import Late, delayed
from benches.measure import quantile
from benches.peers.bucket_packhouse import options_for
from benches.peers.buckets import Place
from packhouse.objects import open_objects
from packhouse.objects.s3 import S3Options
from tests.servers.seaweedfs import seaweedfs

if TYPE_CHECKING:
    from benches.peers.contract import Peer

_LATE = Late(share=0.01, seconds=1.0)
_HEDGE = 0.1
_AT_ONCE = 16


async def run(_peer_class: type[Peer], setting: Setting) -> Metrics:
    """Read objects one by one, 16 at a time, without and with a hedge."""
    blobs = data.blobs("random", count=setting.scale.hedged_reads, size=10 << 10)
    metrics: Metrics = {}
    with serving(), seaweedfs() as bucket:
        place = Place(bucket.endpoint, bucket.bucket, bucket.access, bucket.secret)
        keys = await put_aside(place, blobs)
        port = urlsplit(place.endpoint).port or 0
        with delayed(port, LATENCY, _LATE) as counted:
            place = replace(place, endpoint=place.endpoint.replace(f":{port}", f":{counted.port}"))
            for name, hedge in (("plain", None), ("hedged", _HEDGE)):
                counted.requests()
                seconds = await _read(place, keys, hedge)
                metrics |= {
                    f"{name}_p50_ms": quantile(seconds, 0.5) * 1e3,
                    f"{name}_p99_ms": quantile(seconds, 0.99) * 1e3,
                    f"{name}_p999_ms": quantile(seconds, 0.999) * 1e3,
                    f"{name}_requests": counted.requests(),
                }
    return metrics | {"reads": len(keys)}


async def _read(place: Place, keys: list[str], hedge: float | None) -> list[float]:
    options = options_for(place)
    assert isinstance(options, S3Options)
    options = replace(options, http=replace(options.http, hedge=hedge))
    seconds: list[float] = []
    left = iter(keys)
    async with (
        open_objects(f"s3://{place.bucket}/theirs", options=options) as store,
        anyio.create_task_group() as tasks,
    ):

        async def read() -> None:
            for key in left:
                began = time.perf_counter()
                await store.get(key)
                seconds.append(time.perf_counter() - began)

        for _ in range(_AT_ONCE):
            tasks.start_soon(read)
    return seconds


CASE = Case(
    name="hedged",
    title="Single reads of 10 KiB, 20 ms away, one in 100 answered 1 s late (ms; without and with `hedge=0.1`)",
    columns=(
        Column("reads", "reads"),
        Column("plain_p50_ms", "p50", 1),
        Column("plain_p99_ms", "p99", 1),
        Column("plain_p999_ms", "p99.9", 1),
        Column("plain_requests", "requests"),
        Column("hedged_p50_ms", "hedged p50", 1),
        Column("hedged_p99_ms", "p99", 1),
        Column("hedged_p999_ms", "p99.9", 1),
        Column("hedged_requests", "requests"),
    ),
    run=run,
    ours_alone=True,
    rounds=1,
)
