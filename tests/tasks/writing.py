"""A task with artifacts, for tests that are about something else."""

from __future__ import annotations

from typing import Any

from packhouse.tasks import FlowDataStore, TaskDataStore


async def written(
    flow: FlowDataStore,
    artifacts: dict[str, Any],
    task: str = "1",
    *,
    attempt: int = 0,
    run: str = "1",
    done: bool = True,
) -> TaskDataStore:
    opened: TaskDataStore = await flow.get_task_datastore(run, "step", task, attempt=attempt, mode="w")
    await opened.init_task()
    await opened.save_artifacts(artifacts.items())
    if done:
        await opened.done()
    return opened
