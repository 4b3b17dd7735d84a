"""A run of 10,000 tasks: which are done, and their records."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benches import peers
from benches.cases.contract import Case, Column, Metrics, Setting
from benches.measure import quantile
from benches.peers import flows

if TYPE_CHECKING:
    from benches.peers.contract import Peer

_TIMES = 3


async def run(peer_class: type[Peer], setting: Setting) -> Metrics:
    """Measure one peer.

    Raises:
        NotImplementedError: for a peer without flow datastores.
    """
    flow = flows.open_flow(peers.name_of(peer_class), setting.folder / "store")
    tasks = [str(number) for number in range(setting.scale.names)]
    flows.make_run(flow, "1", tasks)
    setting.settle()
    listing: list[float] = []
    records: list[float] = []
    for _ in range(_TIMES):
        start = time.perf_counter()
        found = flows.latest(flow, "1")
        listing.append(time.perf_counter() - start)
        complete = sum("number" in task for task in found)
        records.append(time.perf_counter() - start)
        if complete != len(tasks):
            raise RuntimeError(f"listed {complete} tasks of {len(tasks)}")
    flows.close_flow(flow)
    return {
        "tasks": float(len(tasks)),
        "list_ms": quantile(listing, 0.5) * 1e3,
        "records_ms": quantile(records, 0.5) * 1e3,
    }


CASE = Case(
    name="task-listing",
    title="A run of 10,000 tasks: list what is done, read every record (ms)",
    columns=(Column("list_ms", "list"), Column("records_ms", "list and records"), Column("tasks", "tasks")),
    run=run,
    many_files=lambda _variant: True,
    rounds=1,
    only=flows.NAMES,
)
