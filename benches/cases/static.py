"""Loads from an nginx that serves files, plain and over TLS: what clients can do when the server is not the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from benches import data, peers
from benches.cases.contract import Case, Metrics, Setting
from benches.cases.remote import Meter, certificates, load_columns, serving, tune_loads
from benches.peers.buckets import BucketPeer, Place
from tests.servers.nginx import list_bucket, nginx

if TYPE_CHECKING:
    from benches.peers.contract import Peer


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer: the second of two loads, all in the page cache."""
    peer = cast("BucketPeer", peer_class(setting.folder / "store"))
    where, _, shape_name = setting.variant.partition("/")
    shape = setting.scale.shape(shape_name)
    folder = setting.folder / "served" / "bucket"
    folder.mkdir(parents=True)
    keys = await peer.lay_out(folder, data.blobs("random", count=shape.count, size=shape.size))
    list_bucket(folder.parent)
    trusted, own = certificates(setting.folder) if where == "tls" else (None, None)
    with serving(), nginx(folder.parent, own) as endpoint:
        peer.place = Place(endpoint, "bucket", ca=None if trusted is None else str(trusted))
        await tune_loads(peer, keys)
        meter = Meter(peer)
        for _ in range(2):
            await peer.open()
            await meter.load("load", keys, shape.total)
            await peer.close()
    return meter.metrics


CASE = Case(
    name="static",
    title="Load a batch from nginx (files)",
    columns=tuple(column for column in load_columns(part=False) if column.metric != "load_requests"),
    run=run,
    variants=lambda _scale: ("near/10KiB", "near/4MiB", "tls/4MiB"),
    only=peers.BUCKETS,
)
