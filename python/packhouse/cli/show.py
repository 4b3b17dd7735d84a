"""`packhouse show`: what a task left."""

from __future__ import annotations

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json, Store
from packhouse.cli.output import bytes_text, emit_json, emit_line
from packhouse.cli.run import run
from packhouse.cli.tasks import TaskPath, open_task

__all__ = ["show"]


def show(task: TaskPath, store: Store, as_json: Json = False) -> None:
    """Show a task: its artifacts with sizes, types and how much of each was new, and its logs. Loads no artifact."""
    run(lambda: _show(task, store, as_json=as_json), as_json=as_json)


async def _show(path: str, url: str, *, as_json: bool) -> None:
    import packhouse

    async with packhouse.open(url, mode="r") as store:
        with Meter("reading the task", counts=False):
            task = await open_task(store, path)
            done = await task.has_metadata("DONE.lock")
            artifacts = sorted(task.artifacts())
            logs = [(log, await task.get_log_size([log.source], log.stream)) for log in await task.log_names()]
    if as_json:
        emit_json(
            {
                "task": f"{path}",
                "attempt": task.attempt,
                "done": done,
                "artifacts": [each._asdict() for each in artifacts],
                "logs": [{**log._asdict(), "size": size} for log, size in logs],
            }
        )
        return
    total, new = sum(each.size for each in artifacts), sum(each.added for each in artifacts)
    state = "done" if done else "not done"
    emit_line(
        f"attempt {task.attempt}, {state}: {len(artifacts)} artifacts, {bytes_text(total)}, {bytes_text(new)} new"
    )
    for each in artifacts:
        kind = each.type.removeprefix("<class '").removesuffix("'>")
        sizes = f"{bytes_text(each.size):>11} {bytes_text(each.added):>11} new"
        emit_line(f"  {each.name:24} {sizes}  {kind} ({each.encoding})  {each.key}")
    for log, size in logs:
        emit_line(f"  log {log.source}/{log.stream}: {bytes_text(size)}")
