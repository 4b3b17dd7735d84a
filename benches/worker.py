"""A process that measures one case on one peer: a task as JSON on the command line, the answer on stdout."""

from __future__ import annotations

import sys
import traceback
from pathlib import Path

import anyio

from benches import cases, peers
from benches.answer import answering, in_one_line
from benches.cases.contract import Metrics, Setting
from benches.scale import SCALES
from benches.task import Task


async def measure(task: Task) -> Metrics:
    """Carry out a task.

    Raises:
        NotImplementedError: where the peer or the machine cannot do the case.
    """
    case = cases.find(task.case)
    setting = Setting(SCALES[task.scale], task.variant, Path(task.folder), task.round)
    if task.peer != peers.MACHINE:
        return await case.run(peers.find(task.peer), setting)
    if case.limit is None:
        raise NotImplementedError(f"no limit is measured for {case.name}")
    return await case.limit(setting)


def main() -> None:
    """Answer with the metrics, or with one line of what went wrong."""
    task = Task.from_json(sys.argv[1])
    with answering() as told:
        try:
            told["metrics"] = anyio.run(measure, task)
        except NotImplementedError as error:
            told["error"] = f"not offered: {error}"
        except Exception as error:  # noqa: BLE001 - whatever a library raises: a figure is missing, and the results say why
            traceback.print_exc()
            told["error"] = in_one_line(error, without=str(Path(task.folder).parent))


if __name__ == "__main__":
    main()
