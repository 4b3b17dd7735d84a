"""A million names under one flat prefix: one scan, which then serves all pages."""

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
    folder = setting.folder / "names"
    folder.mkdir()
    told = engine_hooks.flat_names(setting.scratch, folder, names=setting.scale.flat_names)
    if told is None:
        raise NotImplementedError("its Rust bench was not built")
    return told


CASE = Case(
    name="names-flat",
    title="One flat prefix of names: a scan (s, median), the largest page of 1,000 of it (ms)",
    columns=(
        Column("scan_seconds", "scan s", 3),
        Column("page_ms", "page ms", 2),
        Column("names", "names"),
    ),
    run=run,
    many_files=lambda _variant: True,
    ours_alone=True,
    rounds=1,
)
