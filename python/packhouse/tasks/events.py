"""What a datastore tells others: loggers and monitors of each batch, the metadata provider of a task that is done."""

from __future__ import annotations

import inspect
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio.to_thread

if TYPE_CHECKING:
    from packhouse.tasks.layout import TaskId
    from packhouse.tasks.record import Record

__all__ = ["Batch", "DataArtifact", "Gauge", "MetaDatum", "register_done"]

_LOG = logging.getLogger("packhouse.tasks")


class MetaDatum(NamedTuple):
    """A fact for a metadata provider, in Metaflow's form."""

    field: str
    value: str
    type: str
    tags: list[str]


class DataArtifact(NamedTuple):
    """An artifact for a metadata provider, in Metaflow's form."""

    name: str
    ds_type: str
    ds_root: str
    url: None
    type: str
    sha: str


@dataclass(frozen=True, slots=True)
class Gauge:
    """A figure for a monitor; `serialize` is what Metaflow's monitors call."""

    name: str
    value: float
    context: Mapping[str, Any]
    metric_type: str = "GAUGE"

    def serialize(self) -> dict[str, Any]:
        """Return it as a dict."""
        return {"_name": self.name, "_type": self.metric_type, "_value": self.value, "_context": dict(self.context)}


@dataclass(slots=True)
class Batch:
    """One batch of artifacts or data that was saved or loaded; told when it has ended. Whoever is told may raise."""

    logger: Any
    monitor: Any
    event: str
    context: dict[str, Any]
    count: int = 0
    bytes: int = 0
    began: float = field(default_factory=time.perf_counter)

    def add(self, size: int) -> None:
        """Count one more."""
        self.count += 1
        self.bytes += size

    def tell(self) -> None:
        """Tell the logger in one dict and the monitor in three gauges."""
        figures = {"count": self.count, "bytes": self.bytes, "seconds": time.perf_counter() - self.began}
        try:
            if self.logger is not None:
                self.logger.log({"event": self.event, **self.context, **figures})
        except Exception:  # noqa: BLE001 - what is saved is saved, whatever a logger thinks of it
            _LOG.warning("the event logger failed on %s", self.event, exc_info=True)
        try:
            if self.monitor is not None:
                for name, value in figures.items():
                    self.monitor.gauge(Gauge(f"packhouse.{self.event}.{name}", value, self.context))
        except Exception:  # noqa: BLE001 - see above
            _LOG.warning("the monitor failed on %s", self.event, exc_info=True)


async def register_done(provider: Any, task: TaskId, attempt: int | None, record: Record, kind: str, root: str) -> None:
    """Tell a metadata provider that an attempt is done, as Metaflow does; its errors are the caller's.

    Its methods may be coroutine functions; others run in a worker thread.
    """
    fact = MetaDatum("attempt-done", str(attempt), "attempt-done", [f"attempt_id:{attempt}"])
    artifacts = [
        DataArtifact(name, kind, root, None, record.info[name]["encoding"], key) for name, key in record.objects.items()
    ]
    ids = task.run_id, task.step_name, task.task_id
    await _call(provider.register_metadata, *ids, [fact])
    await _call(provider.register_data_artifacts, *ids, attempt, artifacts)


async def _call(method: Any, *arguments: Any) -> None:
    if inspect.iscoroutinefunction(method):
        await method(*arguments)
    else:
        await anyio.to_thread.run_sync(method, *arguments)
