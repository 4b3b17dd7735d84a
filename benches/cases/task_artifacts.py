"""Artifacts of a task: save them, save them again in another task, load them; a second version of a large one."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import numpy as np

from benches import data, disk, peers
from benches.cases.batch_limits import batch_limits
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import MemoryPeak, lap, megabytes_a_second
from benches.peers import flows

if TYPE_CHECKING:
    from benches.peers.contract import Peer

_LARGE = "256MiB"


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer, called as Metaflow calls its datastores.

    Raises:
        NotImplementedError: for a peer without flow datastores.
    """
    kind, _, shape_name = setting.variant.partition("/")
    shape = setting.scale.shape(shape_name)
    peer = peers.name_of(peer_class)
    _rehearse(flows.open_flow(peer, setting.folder / "rehearsal"))
    values = [_value(kind, blob) for blob in data.blobs(kind, count=shape.count, size=shape.size)]
    folder = setting.folder / "store"
    flow = flows.open_flow(peer, folder)

    setting.settle()
    peak = MemoryPeak()
    with lap() as save:
        _save(flow, "1", values)
    save_rise = peak.rise()
    with lap() as sync:
        if not peer_class.syncs:
            disk.sync_file_system(folder)
    setting.settle()
    with lap() as again:
        _save(flow, "2", values)
    setting.settle()
    names = [f"a{number}" for number in range(shape.count)]
    _check(flow, names, values)
    first = values[0]
    del values
    gc.collect()
    peak = MemoryPeak()
    with lap() as load:
        for _, value in flow.get_task_datastore("1", "step", "1").load_artifacts(names):
            del value
    load_rise = max(peak.rise() - shape.size, 0)
    metrics = {
        "bytes": float(shape.total),
        "save_mbs": megabytes_a_second(shape.total, save.seconds),
        "durable_mbs": megabytes_a_second(shape.total, save.seconds + sync.seconds),
        "again_mbs": megabytes_a_second(shape.total, again.seconds),
        "load_mbs": megabytes_a_second(shape.total, load.seconds),
        "save_mib": save_rise / 2**20,
        "load_mib": load_rise / 2**20,
    }
    if shape_name == _LARGE:
        before = disk.usage(folder).length
        _save(flow, "3", [_changed(first)])
        metrics["version_percent"] = 100 * (disk.usage(folder).length - before) / shape.size
    flows.close_flow(flow)
    return metrics


async def limit(setting: Setting) -> Metrics:
    """Measure those of the case `batch` for what is stored as it is; what was compressed is also decompressed.

    Raises:
        NotImplementedError: for other data.
    """
    if setting.variant.partition("/")[0] in data.COMPRESSIBLE:
        raise NotImplementedError("no limit counts what it takes to decompress")
    return await batch_limits(setting)


def _value(kind: str, blob: bytes) -> Any:
    if kind == "random":
        return blob
    if kind == "json":
        return blob.decode()
    return np.frombuffer(blob, np.float32).copy()


def _changed(value: Any) -> Any:
    """Change 1 % of it in one place."""
    size = len(value)
    start, stop = size // 2, size // 2 + size // 100
    if isinstance(value, str):
        return value[:start] + "?" * (stop - start) + value[stop:]
    if isinstance(value, bytes):
        return value[:start] + data.blobs("random", count=1, size=stop - start, seed=9)[0] + value[stop:]
    changed = value.copy()
    changed[start:stop] = np.random.default_rng(9).random(stop - start, np.float32)
    return changed


def _save(flow: Any, run: str, values: list[Any]) -> None:
    task = flow.get_task_datastore(run, "step", "1", attempt=0, mode="w")
    task.init_task()
    task.save_artifacts(((f"a{number}", value) for number, value in enumerate(values)), len_hint=len(values))
    task.done()


def _rehearse(flow: Any) -> None:
    """Go through all calls once: imports and threads are there before the clock runs."""
    _save(flow, "1", [b"bytes", "text", np.ones(4), (1,)])
    dict(flow.get_task_datastore("1", "step", "1").load_artifacts(["a0", "a1", "a2", "a3"]))
    flows.close_flow(flow)


def _check(flow: Any, names: list[str], values: list[Any]) -> None:
    """Load everything once, untimed: what is measured has to be right, and the page cache is warm afterwards."""
    seen = 0
    for name, value in flow.get_task_datastore("1", "step", "1").load_artifacts(names):
        saved = values[int(name[1:])]
        same = np.array_equal(saved, value) if isinstance(saved, np.ndarray) else saved == value
        if not same or type(saved) is not type(value):
            raise RuntimeError(f"{name} did not come back as it was saved")
        seen += 1
    if seen != len(names):
        raise RuntimeError(f"loaded {seen} artifacts of {len(names)}")


CASE = Case(
    name="task-artifacts",
    title="Artifacts of a task: save, save again, load (MB/s); memory beyond the caller's (MiB)",
    columns=(
        Column("save_mbs", "save"),
        Column("durable_mbs", "save, durable"),
        Column("again_mbs", "again"),
        Column("load_mbs", "load", limit="load_limit_mbs"),
        Column("save_mib", "save MiB"),
        Column("load_mib", "load MiB"),
        Column("version_percent", "2nd version, % added", 1),
    ),
    run=run,
    limit=limit,
    variants=lambda scale: scale.batches,
    many_files=lambda variant: variant.endswith("/10KiB"),
    only=flows.NAMES,
)
