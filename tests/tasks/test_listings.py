"""A task of a listing whose record is damaged or gone spoils no other task."""

from __future__ import annotations

from pathlib import Path

import pytest

from packhouse.errors import NameNotFound, PackhouseError
from packhouse.sync.tasks import FlowDataStore as SyncFlow
from packhouse.tasks import FlowDataStore
from packhouse.tasks.layout import DATA, TaskId
from tests.tasks.writing import written


async def spoil(flow: FlowDataStore, task: str, how: str) -> None:
    """Spoil the record of a task."""
    name, names = TaskId("Flow", "1", "step", task).file(DATA, 0), flow.store.names
    if how == "gone":
        await names.delete_many([name])
    else:
        await names.put(name, {"of a newer version": True})


@pytest.mark.parametrize("how", ["gone", "unknown"])
async def test_a_record_that_cannot_be_read_spoils_no_other_task(flow: FlowDataStore, how: str) -> None:
    for number in range(4):
        await written(flow, {"x": number}, str(number))
    await spoil(flow, "1", how)
    found = {task.task_id: task for task in await flow.get_latest_task_datastores("1")}
    for number in (0, 3, 2):
        await found[str(number)].ready()
        assert await found[str(number)]["x"] == number
    for _ in range(2):
        with pytest.raises(PackhouseError) as raised:
            await found["1"].ready()
        assert isinstance(raised.value, NameNotFound) == (how == "gone")


@pytest.mark.parametrize("anyio_backend", ["asyncio"])
async def test_a_record_that_cannot_be_read_spoils_no_other_task_without_await(folder: Path) -> None:
    async with FlowDataStore("Flow", ds_root=folder) as flow:
        for number in range(3):
            await written(flow, {"x": number}, str(number))
        await spoil(flow, "1", "gone")
    with SyncFlow("Flow", ds_root=folder) as again:
        found = {task.task_id: task for task in again.get_latest_task_datastores("1")}
        assert (found["0"]["x"], found["2"]["x"]) == (0, 2)
        with pytest.raises(NameNotFound):
            "x" in found["1"]  # noqa: B015 - asking is enough
