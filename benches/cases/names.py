"""Named documents: puts in one batch, pages of a listing."""

from __future__ import annotations

import time

from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import lap, quantile
from benches.peers.contract import KeepsNames, Peer

_PAGE = 1_000


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure ours: no peer has names of its own.

    Raises:
        NotImplementedError: for any other peer.
    """
    peer = peer_class(setting.folder / "store")
    if not isinstance(peer, KeepsNames):
        raise NotImplementedError(f"{peer.label} has no names")
    await peer.open()
    speeds: list[float] = []
    for prefix in range(setting.scale.name_prefixes):
        documents = {
            f"run-{prefix:03}/task-{number:05}": {"state": "done", "attempt": number % 7}
            for number in range(setting.scale.names)
        }
        setting.settle()
        with lap() as put:
            await peer.put_names(documents)
        speeds.append(len(documents) / put.seconds)
    pages: list[float] = []
    listed = 0
    start = time.perf_counter()
    async for page in peer.list_names("run-000/", page=_PAGE):
        now = time.perf_counter()
        listed += len(page)
        pages.append(now - start)
        start = now
    await peer.close()
    if listed != setting.scale.names:
        raise RuntimeError(f"listed {listed} names of {setting.scale.names}")
    return {
        "puts_per_second": quantile(speeds, 0.5),
        "page_p50_ms": quantile(pages, 0.5) * 1e3,
        "page_max_ms": max(pages) * 1e3,
        "names": float(setting.scale.names * setting.scale.name_prefixes),
    }


CASE = Case(
    name="names",
    title="Names: 10,000 put in a batch, pages of 1,000 listed",
    columns=(
        Column("puts_per_second", "puts/s"),
        Column("page_p50_ms", "page p50 ms", 2),
        Column("page_max_ms", "page max ms", 2),
        Column("names", "names in the store"),
    ),
    run=run,
    many_files=lambda _variant: True,
    ours_alone=True,
)
