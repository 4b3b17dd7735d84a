"""Named documents, a million of them under prefixes of 10,000: puts in batches, pages of a listing."""

from __future__ import annotations

import time

from benches import disk
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import lap, quantile
from benches.peers.contract import KeepsNames, Peer

_PAGE = 1_000
_DOCUMENT = 150


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
    last = setting.scale.name_prefixes - 1
    for prefix in (0, last // 2, last):
        start = time.perf_counter()
        async for page in peer.list_names(f"run-{prefix:03}/", page=_PAGE):
            now = time.perf_counter()
            listed += len(page)
            pages.append(now - start)
            start = now
    await peer.close()
    if listed != 3 * setting.scale.names:
        raise RuntimeError(f"listed {listed} names of 3 times {setting.scale.names}")
    return {
        "puts_per_second": quantile(speeds, 0.5),
        "slowest_puts_per_second": min(speeds),
        "page_p50_ms": quantile(pages, 0.5) * 1e3,
        "page_max_ms": max(pages) * 1e3,
        "names": float(setting.scale.names * setting.scale.name_prefixes),
    }


async def limit(setting: Setting) -> Metrics:
    """Make as many small files with two syncs for all."""
    documents = [b"x" * _DOCUMENT] * setting.scale.names
    return {"puts_per_second": len(documents) / disk.write_files(setting.folder / "files", documents)}


CASE = Case(
    name="names",
    title="Names: 10,000 put in a batch, pages of 1,000 listed",
    columns=(
        Column("puts_per_second", "puts/s", limit="puts_per_second"),
        Column("slowest_puts_per_second", "slowest batch"),
        Column("page_p50_ms", "page p50 ms", 2),
        Column("page_max_ms", "page max ms", 2),
        Column("names", "names in the store"),
    ),
    run=run,
    limit=limit,
    many_files=lambda _variant: True,
    ours_alone=True,
    rounds=1,
)
