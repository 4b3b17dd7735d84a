"""`packhouse logs`: print a task's log, and follow it."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from packhouse.cli.options import Json, Store
from packhouse.cli.output import flush, write
from packhouse.cli.run import run
from packhouse.cli.tasks import TaskPath, open_task

__all__ = ["logs"]


def logs(
    task: TaskPath,
    store: Store,
    stream: Annotated[str | None, typer.Option(help="Which stream.", show_default="stdout")] = None,
    source: Annotated[str | None, typer.Option(help="Who wrote it.", show_default="all who did")] = None,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on until the task is done, or another attempt has begun.")
    ] = False,
    interval: Annotated[float, typer.Option(help="Seconds between two looks.", min=0.01)] = 0.5,
    as_json: Json = False,
) -> None:
    """Print a log of a task. With `--json` errors are documents; what is written stays what it is."""
    run(lambda: _logs(task, store, stream, source, interval if follow else None), as_json=as_json)


async def _logs(path: str, url: str, stream: str | None, source: str | None, interval: float | None) -> None:
    import packhouse

    async with packhouse.open(url, mode="r") as store:
        task = await open_task(store, path)
        if interval is None and (stream is not None or source is not None):
            await _check(task, path, stream or "stdout", source)
        async for piece in task.follow_log(source, stream or "stdout", interval=interval):
            write(piece)
            flush()


async def _check(task: Any, path: str, stream: str, source: str | None) -> None:
    from packhouse.errors import NameNotFound

    logs = await task.log_names()
    if not any(log.stream == stream and source in (None, log.source) for log in logs):
        wanted = stream if source is None else f"{source}/{stream}"
        there = ", ".join(f"{log.source}/{log.stream}" for log in logs) or "none"
        raise NameNotFound(f"{path} has no log {wanted}; those there are: {there}", kind="no-log")
