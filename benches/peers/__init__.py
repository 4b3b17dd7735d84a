"""The peers by name. Their modules are imported only when used: each needs a package of its own."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benches.peers.contract import Peer

OURS = "packhouse"
DROP_IN, PACKED = "metaflow-drop-in", "metaflow-packhouse"
"""Ours too: only the cases about them have them as peers, unless they are asked for by name."""
BUCKETS = ("packhouse-bucket", "obstore-bucket", "boto3-bucket", "metaflow-bucket")
"""Those that keep blobs in a bucket: only the cases about buckets have them as peers."""
BUCKET = BUCKETS[0]
"""Ours among them."""
MACHINE = "machine"
"""Not a peer: under this name stand the machine's limits, measured beside every case."""

_PLACES = {
    OURS: "packhouse_store:PackhouseStore",
    "metaflow": "metaflow_cas:MetaflowStore",
    "metaflow-drop-in": "metaflow_drop_in:MetaflowDropIn",
    "metaflow-packhouse": "metaflow_packed:MetaflowPacked",
    "obstore": "obstore_sync:ObstoreSync",
    "obstore-async": "obstore_async:ObstoreAsync",
    "icechunk": "icechunk_local:IcechunkLocal",
    "diskcache": "diskcache_cache:DiskCache",
    "fsspec": "fsspec_local:FsspecLocal",
    "restic": "restic_backup:Restic",
    "packhouse-bucket": "bucket_packhouse:PackhouseBucket",
    "obstore-bucket": "bucket_obstore:ObstoreBucket",
    "boto3-bucket": "bucket_boto3:Boto3Bucket",
    "metaflow-bucket": "bucket_metaflow:MetaflowBucket",
}

NAMES = tuple(_PLACES)


def find(name: str) -> type[Peer]:
    """Import a peer.

    Raises:
        KeyError: for a name that is none of `NAMES`.
        ImportError: where its package is not installed.
    """
    module, _, attribute = _PLACES[name].partition(":")
    found: type[Peer] = getattr(importlib.import_module(f"benches.peers.{module}"), attribute)
    return found


def name_of(peer: type[Peer]) -> str:
    """Tell the name that `find` finds a peer by."""
    place = f"{peer.__module__.rpartition('.')[2]}:{peer.__name__}"
    return next(name for name, known in _PLACES.items() if known == place)


def why_not(name: str) -> str | None:
    """Tell why a peer cannot take part, or None when it can."""
    try:
        find(name)
    except ImportError as error:
        return f"not installed ({error})"
    return None
