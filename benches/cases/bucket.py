"""A batch in a bucket, near, 20 ms away and over TLS: save, save again, load whole, load 1 %. SeaweedFS speaks S3."""

from __future__ import annotations

import random
from contextlib import contextmanager
from typing import TYPE_CHECKING, cast

from benches import data, peers
from benches.cases.contract import Case, Metrics, Setting
from benches.cases.remote import Meter, load_columns, put_aside, reached, save_columns, tune
from benches.peers.buckets import BucketPeer, Place
from tests.servers.seaweedfs import seaweedfs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from benches.peers.contract import Peer


_SMALL = 64 << 10


@contextmanager
def _seaweedfs() -> Iterator[Place]:
    with seaweedfs() as bucket:
        yield Place(bucket.endpoint, bucket.bucket, bucket.access, bucket.secret)


def case(name: str, server: str, start: Callable[[], AbstractContextManager[Place]], variants: tuple[str, ...]) -> Case:
    """Return the case on one server."""

    async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
        """Measure one peer on a server of its own."""
        peer = cast("BucketPeer", peer_class(setting.folder / "store"))
        where, _, shape_name = setting.variant.partition("/")
        shape = setting.scale.shape(shape_name)
        count = shape.count if shape.size > _SMALL else max(1, shape.count // peer.one_of)
        few = max(1, count // 100)
        blobs = data.blobs("random", count=count, size=shape.size)
        with reached(where, start, setting.folder) as (peer.place, counted):
            meter = Meter(peer, counted)
            if peer.place.service in peer.reads_only:
                if counted is not None:  # fake-gcs-server answers XML at its own address only: 404 behind the proxy
                    raise NotImplementedError("what it reads by is not answered behind the proxy")
                keys = await put_aside(peer.place, blobs)
            else:
                await tune(peer, shape)
                await peer.open()
                keys = await meter.save("save", blobs)
                await meter.save("again", blobs)
                await peer.close()
            await peer.open()
            await meter.load("load", keys, count * shape.size)
            await peer.close()
            await peer.open()
            await meter.load("part", random.Random(1).sample(keys, few), few * shape.size)
            await peer.close()
        due = {f"{what}_due": count for what, count in peer.due(count, shape.size, few).items()}
        return meter.metrics | due | {"bytes": count * shape.size, "in_flight": peer.in_flight}

    return Case(
        name=name,
        title=f"A batch in a bucket of {server}: save, save again, load, load 1 % (requests are counted 20 ms away; "
        "boto3 and Metaflow get a tenth of the small blobs)",
        columns=(*save_columns(again=True), *load_columns(part=True)),
        run=run,
        variants=lambda _scale: variants,
        only=peers.BUCKETS,
    )


CASE = case("bucket", "SeaweedFS", _seaweedfs, ("near/10KiB", "near/4MiB", "20ms/10KiB", "20ms/4MiB", "tls/4MiB"))
