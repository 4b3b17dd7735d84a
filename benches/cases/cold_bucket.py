"""What a handle that knows nothing yet asks of a bucket with a large, generated index: requests and bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches import engine_hooks
from benches.cases.contract import Case, Column, Metrics, Setting

if TYPE_CHECKING:
    from benches.peers.contract import Peer


async def run(_peer_class: type[Peer], setting: Setting) -> Metrics:
    """Count by the engine's Rust bench: a folder stands for the bucket, each call for a request.

    Raises:
        NotImplementedError: where that was not built.
    """
    folder = setting.folder / "bucket"
    folder.mkdir()
    told = engine_hooks.cold_bucket(setting.scratch, folder, chunks=setting.scale.bucket_chunks)
    if told is None:
        raise NotImplementedError("its Rust bench was not built")
    return told


CASE = Case(
    name="cold-bucket",
    title="A new handle on a bucket with a large index: requests, bytes (the most of several)",
    columns=(
        Column("chunks", "chunks"),
        Column("segments", "segments"),
        Column("hit_requests", "a key that is there"),
        Column("hit_bytes", "bytes"),
        Column("miss_requests", "one that is not"),
        Column("miss_bytes", "bytes"),
        Column("known_requests", "a known blob saved"),
        Column("known_bytes", "bytes"),
        Column("load_requests", "loaded by its key"),
    ),
    run=run,
    ours_alone=True,
    rounds=1,
)
