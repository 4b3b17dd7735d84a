"""A pipeline of three steps that keeps everything in flow and task datastores: fan out, join, a retry.

Run it with `python examples/flow_datastores.py`; it makes `example-store` in the current folder.
"""

from __future__ import annotations

import anyio
import numpy as np

from packhouse.tasks import FlowDataStore, TaskDataStore

SHARDS = 4


async def begin(flow: FlowDataStore, step: str, task: str, attempt: int = 0) -> TaskDataStore:
    """Begin an attempt."""
    opened: TaskDataStore = await flow.get_task_datastore("1", step, task, attempt=attempt, mode="w")
    await opened.init_task()
    return opened


async def start(flow: FlowDataStore) -> None:
    """Make the data."""
    task = await begin(flow, "start", "1")
    data = np.random.default_rng(1).normal(5.0, 2.0, size=(SHARDS, 100_000))
    await task.save_artifacts((f"shard{number}", data[number]) for number in range(SHARDS))
    await task.done()


async def measure(flow: FlowDataStore, number: int, attempt: int) -> None:
    """Work on one shard; the first attempt at shard 2 fails before it is done."""
    source = await flow.get_task_datastore("1", "start", "1")
    task = await begin(flow, "measure", str(number), attempt)
    async with task.log_writer("task", "stdout") as log:
        await log.write(f"shard {number}, attempt {attempt}\n")
    shard = await source[f"shard{number}"]
    await task.passdown_partial(source, [f"shard{number}"])  # recorded, not copied
    if (number, attempt) != (2, 0):
        await task.save_artifacts([("mean", float(shard.mean())), ("spread", float(shard.std()))])
        await task.done()


async def main() -> None:
    """Run the steps, then show what is there."""
    async with FlowDataStore("Means", ds_root="example-store") as flow:
        await start(flow)
        async with anyio.create_task_group() as tasks:
            for number in range(SHARDS):
                tasks.start_soon(measure, flow, number, 0)
        done = await flow.get_latest_task_datastores("1", ["measure"])
        print("done at first:", [task.task_id for task in done])
        for again in {str(number) for number in range(SHARDS)} - {task.task_id for task in done}:
            await measure(flow, int(again), 1)

        means = [await task.get("mean") for task in await flow.get_latest_task_datastores("1", ["measure"])]
        print("mean of all:", round(sum(means) / len(means), 2))
        assert len(means) == SHARDS


if __name__ == "__main__":
    anyio.run(main)
