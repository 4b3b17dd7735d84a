"""The peers that have flow and task datastores, by Metaflow's own interface."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

from benches.peers import OURS

NAMES = (OURS, "metaflow")


def open_flow(peer: str, folder: Path) -> Any:
    """Open the datastore of a flow, used without await.

    Raises:
        NotImplementedError: the peer has none.
    """
    if peer == OURS:
        return importlib.import_module("packhouse.sync.tasks").FlowDataStore("Flow", ds_root=folder)
    if peer != "metaflow":
        raise NotImplementedError(f"{peer} has no flow datastores")
    storage = importlib.import_module("metaflow.plugins.datastores.local_storage").LocalStorage
    folder.mkdir(parents=True, exist_ok=True)
    return importlib.import_module("metaflow.datastore").FlowDataStore(
        "Flow", storage_impl=storage, ds_root=str(folder)
    )


def close_flow(flow: Any) -> None:
    """Close it, where there is something to close."""
    close = getattr(flow, "close", None)
    if close is not None:
        close()


def latest(flow: Any, run: str) -> list[Any]:
    """List the latest attempts of a run that are done, by the name that the implementation has."""
    found: list[Any] = getattr(flow, "get_latest_task_datastores", flow.get_task_datastores)(run)
    return found


def make_run(flow: Any, run: str, tasks: Sequence[str]) -> None:
    """Make many tasks that are done and have the same artifacts, as fast as the implementation lets one."""
    first = flow.get_task_datastore(run, "step", tasks[0], attempt=0, mode="w")
    first.init_task()
    first.save_artifacts(iter([("number", 1), ("name", "x")]))
    first.done()
    names = getattr(getattr(flow, "store", None), "names", None)
    if names is None:
        for task in tasks[1:]:
            one = flow.get_task_datastore(run, "step", task, attempt=0, mode="w")
            one.init_task()
            one.clone(first)
            one.done()
        return
    from packhouse import Document  # noqa: PLC0415 - ours alone
    from packhouse.tasks.layout import TaskId  # noqa: PLC0415 - ours alone

    reader = flow.get_task_datastore(run, "step", tasks[0])
    values = reader.load_metadata(["attempt.json", "data.json", "DONE.lock"])
    refs = tuple(dict.fromkeys(key for _, key in reader.items()))
    documents = [
        Document(TaskId("Flow", run, "step", task).file(name, 0), {"value": value}, refs if name == "data.json" else ())
        for task in tasks[1:]
        for name, value in values.items()
    ]
    names.put_many(documents)
