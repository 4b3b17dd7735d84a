"""A step that is run again on its own, on the artifacts of an earlier execution."""

from __future__ import annotations

from collections.abc import ItemsView, Mapping
from typing import TYPE_CHECKING, Any

from packhouse.errors import NameNotFound
from packhouse.tasks.record import Record

if TYPE_CHECKING:
    from packhouse.tasks.task import TaskDataStore

__all__ = ["SpinTaskDatastore"]


class SpinTaskDatastore:
    """The artifacts of an earlier execution, some of them overridden.

    Args:
        flow_name: the flow.
        run_id: of the earlier execution, as the next two.
        step_name: the step.
        task_id: the task.
        orig_datastore: the earlier execution's datastore, ready.
        spin_artifacts: values that count instead of stored ones.
    """

    def __init__(
        self,
        flow_name: str,
        run_id: str,
        step_name: str,
        task_id: str,
        orig_datastore: TaskDataStore,
        spin_artifacts: Mapping[str, Any],
    ) -> None:
        self.flow_name = flow_name
        self.run_id = run_id
        self.step_name = step_name
        self.task_id = task_id
        self.orig_datastore = orig_datastore
        self.spin_artifacts = dict(spin_artifacts)
        origin = orig_datastore._record
        self._record = Record()
        self._record.take(origin, [name for name in origin.objects if name != "_transition"])

    async def ready(self) -> SpinTaskDatastore:
        """Return itself: its origin was ready."""
        return self

    async def __getitem__(self, name: str) -> Any:
        return self.spin_artifacts[name] if self._overrides(name) else await self.orig_datastore[name]

    def _overrides(self, name: str) -> bool:
        if name not in self:
            where = f"the earlier execution of {self.run_id}/{self.step_name}/{self.task_id}"
            raise NameNotFound(f"{where} has no artifact {name!r}", kind="no-artifact")
        return name in self.spin_artifacts

    async def is_none(self, name: str) -> bool:
        """Tell whether a value is None.

        Raises:
            NameNotFound: there is none; also a KeyError.
        """
        return await self[name] is None

    def __contains__(self, name: object) -> bool:
        return name in self.spin_artifacts or name in self.orig_datastore

    def items(self) -> ItemsView[str, str]:
        """Return (name, key) of the stored artifacts."""
        return self._record.objects.items()
