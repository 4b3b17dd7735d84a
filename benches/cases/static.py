"""Loads from an nginx that serves files: what the clients can do when the server is not the limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from benches import data, peers
from benches.cases.bucket import loaded
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.peers.buckets import BucketPeer, Place
from tests.servers.nginx import list_bucket, nginx
from tests.servers.running import ServerMissing

if TYPE_CHECKING:
    from benches.peers.contract import Peer


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer: the second of two loads, all in the page cache."""
    peer = cast("BucketPeer", peer_class(setting.folder / "store"))
    shape = setting.scale.shape(setting.variant)
    folder = setting.folder / "served" / "bucket"
    folder.mkdir(parents=True)
    keys = await peer.lay_out(folder, data.blobs("random", count=shape.count, size=shape.size))
    list_bucket(folder.parent)
    try:
        with nginx(folder.parent) as endpoint:
            peer.place = Place(endpoint, "bucket")
            await loaded(peer, keys, shape.total)
            return await loaded(peer, keys, shape.total)
    except ServerMissing as missing:
        raise NotImplementedError(str(missing)) from missing


CASE = Case(
    name="static",
    title="Load a batch from nginx (files, plain http)",
    columns=(
        Column("load_mbs", "MB/s", 1),
        Column("load_blobs", "blobs/s"),
        Column("load_cpu_seconds", "CPU s", 2),
        Column("load_mib", "MiB"),
    ),
    run=run,
    variants=lambda _scale: ("10KiB", "4MiB"),
    only=peers.BUCKETS,
)
