"""Metaflow's artifacts, stock, with the drop-in and in packs: save, again, load, memory; a flow end to end."""

from __future__ import annotations

import os
import subprocess
import sys
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from benches import data, disk, peers
from benches.cases.batch_limits import batch_limits
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import MemoryPeak, lap, megabytes_a_second
from benches.peers.contract import Peer, let_go

if TYPE_CHECKING:
    from benches.scale import Scale

_SMALL = 64 << 10
"""Up to here it is the file system's rate that counts."""
_FLOW = Path(__file__).resolve().parents[2] / "tests" / "metaflow" / "flows" / "wide.py"


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one of the three. Stock's saves are as they are: not durable, and no sync is charged to them."""
    kind, _, shape_name = setting.variant.partition("/")
    if kind == "flow":
        return _flow(peer_class, setting, int(shape_name))
    shape = setting.scale.shape(shape_name)
    blobs = data.blobs(kind, count=shape.count, size=shape.size)
    peer = peer_class(setting.folder / "rehearsal")
    await peer.open()
    await peer.load(await peer.save(data.blobs("random", count=4, size=10 << 10, seed=2)), let_go)
    peer = peer_class(setting.folder / "store")
    await peer.open()
    setting.settle()
    peak = MemoryPeak()
    with lap() as save:
        keys = await peer.save(blobs)
    saving = peak.rise()
    stored = disk.usage(peer.folder)
    setting.settle()
    with lap() as again:
        await peer.save(blobs)
    del blobs
    await peer.load(keys, let_go)
    peak = MemoryPeak()
    with lap() as load:
        await peer.load(keys, let_go)
    loading = max(peak.rise() - shape.size, 0)
    metrics = {"files_per_second": shape.count / save.seconds} if shape.size <= _SMALL else {}
    return metrics | {
        "save_mbs": megabytes_a_second(shape.total, save.seconds),
        "again_mbs": megabytes_a_second(shape.total, again.seconds),
        "load_mbs": megabytes_a_second(shape.total, load.seconds),
        "stored_ratio": shape.total / max(stored.length, 1),
        "save_mib": saving / 2**20,
        "load_mib": loading / 2**20,
    }


async def limit(setting: Setting) -> Metrics:
    """Make files like those of the drop-in where blobs are small, as many a second as the file system can.

    What is stored as it is has the limits of the case `batch`, too.
    """
    kind, _, shape_name = setting.variant.partition("/")
    if kind == "flow":
        raise NotImplementedError("a flow has no limit")
    metrics = await batch_limits(setting) if kind not in data.COMPRESSIBLE else {}
    shape = setting.scale.shape(shape_name)
    if shape.size <= _SMALL:
        blobs = data.blobs(kind, count=shape.count, size=shape.size)
        packed = min(len(zlib.compress(blobs[0], 1)), shape.size)
        spent = disk.write_files(setting.folder / "files", [blob[:packed] for blob in blobs])
        metrics["files_per_second"] = shape.count / spent
    return metrics


def _flow(peer_class: type[Peer], setting: Setting, width: int) -> Metrics:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("METAFLOW")}
    datastore = getattr(peer_class, "datastore", None)
    environment = kept | {
        "METAFLOW_PACKHOUSE": "0" if datastore is None else "1",
        "METAFLOW_DEFAULT_DATASTORE": datastore or "local",
        "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(setting.folder),
        "METAFLOW_HOME": str(setting.folder),
        "METAFLOW_USER": "bench",
    }
    command = [sys.executable, str(_FLOW), "--no-pylint", "run", "--width", str(width), "--max-workers", "2"]
    with lap() as whole:
        subprocess.run(
            [*command, "--max-num-splits", "200"], cwd=setting.folder, env=environment, check=True, capture_output=True
        )
    check_mode(peers.name_of(peer_class), setting.folder)
    return {"flow_seconds": whole.seconds}


def check_mode(peer: str, folder: Path) -> None:
    """See by its files whether a flow was kept by whom the figures are to be of.

    Stock writes a `_meta` beside each blob, the drop-in none, and packs are in a store.

    Raises:
        RuntimeError: it was another.
    """
    blobs = [path for path in folder.glob("**/Wide/data/*/*") if path.is_file()]
    packed = any(folder.glob("**/store.json"))
    stock = any(path.name.endswith("_meta") for path in blobs)
    found = peers.PACKED if packed else "metaflow" if stock else peers.DROP_IN if blobs else "nobody"
    if found != peer:
        raise RuntimeError(f"the flow was meant to be kept by {peer}, its files are of {found}")


def _variants(scale: Scale) -> tuple[str, ...]:
    return (*scale.batches, f"flow/{100 if scale.name == 'full' else 4}")


CASE = Case(
    name="metaflow",
    title="Metaflow's artifacts: stock, with the drop-in, with --datastore packhouse (MB/s, MiB)",
    columns=(
        Column("save_mbs", "save"),
        Column("again_mbs", "again"),
        Column("files_per_second", "files/s", limit="files_per_second"),
        Column("load_mbs", "load", limit="load_limit_mbs"),
        Column("stored_ratio", "raw : stored", 2),
        Column("save_mib", "save, memory", 1),
        Column("load_mib", "load, memory", 1),
        Column("flow_seconds", "flow, s", 1),
    ),
    run=run,
    limit=limit,
    variants=_variants,
    many_files=lambda variant: variant.endswith("/10KiB"),
    only=("metaflow", "metaflow-drop-in", "metaflow-packhouse"),
)
