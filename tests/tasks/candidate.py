"""What the conformance suite drives: any implementation of Metaflow's datastores, and what its errors mean."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from anyio.from_thread import start_blocking_portal

from packhouse.errors import InvalidInput, NameNotFound, PackhouseError
from packhouse.sync.tasks import FlowDataStore, TaskDataStore
from packhouse.tasks import FlowDataStore as AsyncFlow
from packhouse.tasks import TaskDataStore as AsyncTask
from tests.tasks.driven import driven


@dataclass
class Candidate:
    """One implementation.

    Attributes:
        name: for messages.
        root: where it keeps things.
        make: called with a flow's name and keyword arguments, `ds_root` among them, gives a `FlowDataStore`.
        tasks: its `TaskDataStore`.
        meaning: what an exception means, in one word; None for one that means nothing here.
        as_upstream: what to make a flow with so that its records are Metaflow's.
    """

    name: str
    root: Path
    make: Callable[..., Any]
    tasks: type
    meaning: Callable[[BaseException], str | None]
    as_upstream: Mapping[str, Any] = field(default_factory=dict)

    def flow(self, name: str = "Flow", *, root: str = "one", **kwargs: Any) -> Any:
        """Make the datastore of a flow, in another root if one is named."""
        return self.make(name, ds_root=str(self.root / root), **kwargs)

    def outcome(self, call: Callable[[], Any]) -> Any:
        """Return what a call returns, or what its error means."""
        try:
            return call()
        except Exception as error:
            meaning = self.meaning(error)
            if meaning is None:
                raise
            return f"<{meaning}>"

    def written(
        self, flow: Any, artifacts: Any = (), task: str = "1", *, attempt: int = 0, run: str = "1", done: bool = True
    ) -> Any:
        """Write an attempt."""
        store = flow.get_task_datastore(run, "step", task, attempt=attempt, mode="w")
        store.init_task()
        store.save_artifacts(iter(dict(artifacts).items()))
        if done:
            store.done()
        return store

    def written_legacy_log(self, store: Any, stream: str, content: bytes) -> None:
        """Write a log as it was before logs had sources: nothing of today's interface does."""
        if self.name == "stock":
            store._save_file({f"{store.attempt}.{stream}.log": content}, add_attempt=False)
        else:
            store.save_logs("", {stream: content})

    @staticmethod
    def latest(flow: Any, *args: Any, **kwargs: Any) -> list[Any]:
        """Ask for the latest attempts, by whichever name the implementation has."""
        found: list[Any] = getattr(flow, "get_latest_task_datastores", flow.get_task_datastores)(*args, **kwargs)
        return found


_STOCK = {
    "UnpicklableArtifactException": "unpicklable",
    "DataException": "no data",
    "MetaflowInternalError": "misuse",
}
_OURS = {
    "no-attempt": "no data",
    "no-artifact": "no artifact",
    "task-mode": "misuse",
    "task-done": "misuse",
    "unpicklable": "unpicklable",
    "blob-not-found": "no blob",
}


def stock_meaning(error: BaseException) -> str | None:
    """What Metaflow's exceptions mean."""
    known = _STOCK.get(type(error).__name__)
    if known is not None:
        return known
    return next((name for kind, name in _BUILTIN if isinstance(error, kind)), None)


def our_meaning(error: BaseException) -> str | None:
    """What packhouse's exceptions mean."""
    if isinstance(error, PackhouseError) and error.kind in _OURS:
        return _OURS[error.kind]
    if isinstance(error, InvalidInput):
        return "wrong value"
    if isinstance(error, NameNotFound):
        return "no artifact"
    return next((name for kind, name in _BUILTIN if isinstance(error, kind)), None)


_BUILTIN: tuple[tuple[type[BaseException], str], ...] = (
    (KeyError, "no artifact"),
    (AttributeError, "attribute"),
    (TypeError, "wrong value"),
    (ValueError, "wrong value"),
    (ZeroDivisionError, "the producer's"),
)


@contextmanager
def stock(root: Path) -> Iterator[Candidate]:
    """Metaflow's own, on local files."""
    datastore: Any = importlib.import_module("metaflow.datastore")
    storage: Any = importlib.import_module("metaflow.plugins.datastores.local_storage")

    def make(name: str, **kwargs: Any) -> Any:
        return datastore.FlowDataStore(name, storage_impl=storage.LocalStorage, **kwargs)

    root.mkdir()
    yield Candidate("stock", root, make, datastore.TaskDataStore, stock_meaning)


@contextmanager
def ours(root: Path) -> Iterator[Candidate]:
    """Packhouse's, without await."""
    made: list[FlowDataStore] = []

    def make(name: str, **kwargs: Any) -> Any:
        made.append(FlowDataStore(name, **kwargs))
        return made[-1]

    try:
        yield Candidate("packhouse", root, make, TaskDataStore, our_meaning, {"serializers": "pickle"})
    finally:
        for flow in made:
            flow.close()


@contextmanager
def ours_async(root: Path) -> Iterator[Candidate]:
    """Packhouse's async API, each call of a scenario awaited on one loop."""
    with start_blocking_portal() as portal, ExitStack() as opened:

        def make(name: str, **kwargs: Any) -> Any:
            flow = AsyncFlow(name, **kwargs)
            opened.enter_context(portal.wrap_async_context_manager(flow))
            return driven(portal, flow)

        yield Candidate("packhouse", root, make, AsyncTask, our_meaning, {"serializers": "pickle"})
