"""What `runs`, `show` and `logs` have in common: a task as it is typed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packhouse.cli.run import usage

if TYPE_CHECKING:
    from packhouse import BlobStore

__all__ = ["TaskPath", "open_task"]

_ATTEMPT = re.compile("[0-9]{1,19}")

TaskPath = Annotated[
    str,
    typer.Argument(metavar="FLOW/RUN/STEP/TASK[/ATTEMPT]", help="Without an attempt: the latest.", show_default=False),
]


async def open_task(store: BlobStore, path: str) -> Any:
    """Open a task, done or not, refusing pickles.

    Raises:
        InvalidInput: that is no path of a task.
        NameNotFound: no attempt of it has begun.
    """
    from packhouse.errors import NameNotFound
    from packhouse.tasks import FlowDataStore

    parts = path.strip("/").split("/")
    if len(parts) not in (4, 5) or (len(parts) == 5 and not _ATTEMPT.fullmatch(parts[4])):
        raise usage(f"a task is FLOW/RUN/STEP/TASK or FLOW/RUN/STEP/TASK/ATTEMPT, not {path[:80]!r}")
    flow = FlowDataStore(parts[0], ds_root=store, trust=None)
    attempt = int(parts[4]) if len(parts) == 5 else None
    found = await flow.get_task_datastores(
        pathspecs=["/".join(parts[1:4])], allow_not_done=True, attempt=attempt, include_prior=False
    )
    if not found or (attempt is not None and found[0].attempt != attempt):
        raise NameNotFound(f"no attempt of {path} has begun", kind="no-attempt")
    return await found[0].ready()
