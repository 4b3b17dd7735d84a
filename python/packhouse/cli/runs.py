"""`packhouse runs`: list the runs of flows."""

from __future__ import annotations

from typing import Annotated

import typer

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json, Store
from packhouse.cli.output import count_text, emit_json, emit_line
from packhouse.cli.run import run

__all__ = ["runs"]


def runs(
    store: Store,
    flow: Annotated[str, typer.Argument(help="Only this flow.", show_default=False)] = "",
    as_json: Json = False,
) -> None:
    """List the runs of flows: how many tasks, and how many of them are done."""
    run(lambda: _runs(store, flow, as_json=as_json), as_json=as_json)


async def _runs(url: str, flow: str, *, as_json: bool) -> None:
    import packhouse
    from packhouse.tasks.finding import all_attempts

    counts: dict[tuple[str, str], list[int]] = {}
    async with packhouse.open(url, mode="r") as store:
        with Meter("listing tasks", counts=False):
            found = await all_attempts(store, *([flow] if flow else []))
        for task, attempts in found.items():
            count = counts.setdefault(task[:2], [0, 0])
            count[attempts.latest in attempts.done] += 1
    for (name, run_id), (pending, done) in counts.items():
        if as_json:
            emit_json({"flow": name, "run": run_id, "tasks": pending + done, "done": done})
        else:
            state = "all done" if not pending else f"{done:,} done, {pending:,} not done"
            emit_line(f"{name}/{run_id}  {count_text(pending + done, 'task')}, {state}")
