"""`packhouse logs`: print a task's log, and follow it."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from packhouse.cli.options import Json, Store
from packhouse.cli.output import write
from packhouse.cli.run import run
from packhouse.cli.tasks import TaskPath, open_task

__all__ = ["logs"]


def logs(
    task: TaskPath,
    store: Store,
    stream: Annotated[str, typer.Option(help="Which stream.")] = "stdout",
    source: Annotated[str, typer.Option(help="Who wrote it.")] = "task",
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the task is done.")] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.01)] = 0.5,
    as_json: Json = False,
) -> None:
    """Print a log of a task. With `--json` errors are documents; what is written stays what it is."""
    run(lambda: _logs(task, store, stream, source, interval if follow else None), as_json=as_json)


async def _logs(path: str, url: str, stream: str, source: str, interval: float | None) -> None:
    import packhouse

    async with packhouse.open(url, mode="r") as store:
        task = await open_task(store, path)
        async for piece in task.follow_log(source, stream, interval=interval):
            write(piece)
            sys.stdout.buffer.flush()
