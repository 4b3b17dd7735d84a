"""Look-ups a second on a generated index of 16 segments: batches of 1,000, half of them hits, two threads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches import engine_hooks
from benches.cases.contract import Case, Column, Metrics, Setting

if TYPE_CHECKING:
    from benches.peers.contract import Peer


async def run(_peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure the engine by its Rust bench.

    Raises:
        NotImplementedError: where that was not built.
    """
    folder = setting.folder / "index"
    folder.mkdir()
    told = engine_hooks.lookups(setting.scratch, folder, chunks=setting.scale.lookup_chunks)
    if told is None:
        raise NotImplementedError("its Rust bench was not built")
    return told


CASE = Case(
    name="lookups",
    title="Look-ups a second, two threads, 16 segments",
    columns=(
        Column("lookups_per_second", "look-ups/s"),
        Column("chunks", "chunks"),
        Column("reads_per_second", "machine: 4 KiB reads/s"),
        Column("open_seconds", "open s", 4),
        Column("resident_kib", "KiB in memory"),
    ),
    run=run,
    ours_alone=True,
    rounds=1,
)
