"""A new process: open a store, load one 10 KiB blob, close."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benches import data, peers
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import import_ms

if TYPE_CHECKING:
    from pathlib import Path

    from benches.peers.contract import Peer

_SIZE = 10 << 10
_BLOBS = 1_000


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer."""
    peer = peer_class(setting.folder / "store")
    await peer.open()
    keys = await peer.save_durably(data.blobs("random", count=min(_BLOBS, setting.scale.names), size=_SIZE))
    try:
        metrics = _reopen(setting, peers.name_of(peer_class), peer.folder, keys[len(keys) // 2])
    finally:
        await peer.close()
    if peer.distributions and not peer.outside:
        metrics["import_ms"] = import_ms(peer.distributions[0], times=setting.scale.reopenings)
    return metrics


async def limit(setting: Setting) -> Metrics:
    """Open, read and close a plain file in a new process."""
    folder = setting.folder / "files"
    folder.mkdir()
    (folder / "blob").write_bytes(data.blob("random", _SIZE))
    return _reopen(setting, peers.MACHINE, folder, "blob")


def _reopen(setting: Setting, peer: str, folder: Path, key: str) -> Metrics:
    request = json.dumps({"peer": peer, "folder": str(folder), "key": key, "size": _SIZE})
    command = [sys.executable, "-m", "benches.cases.reopen_child", request]
    told: list[dict[str, float]] = []
    for _ in range(setting.scale.reopenings + 1):
        start = time.perf_counter()
        ended = subprocess.run(command, check=True, capture_output=True, text=True)
        told.append({"process_ms": (time.perf_counter() - start) * 1e3, **json.loads(ended.stdout)})
    return {name: statistics.median(one[name] for one in told[1:]) for name in told[0]}


CASE = Case(
    name="reopen",
    title="Open, load one 10 KiB blob, close, in a new process (ms, median)",
    columns=(
        Column("use_ms", "open+load+close", 2, limit="use_ms"),
        Column("import_ms", "import", 1),
        Column("process_ms", "whole process", 1, limit="process_ms"),
    ),
    run=run,
    limit=limit,
    many_files=lambda _variant: True,
    rounds=1,
)
