"""`FlowDataStore` without await: Metaflow's own signatures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Self

from packhouse.sync.portal import Portal
from packhouse.sync.store import BlobStore
from packhouse.sync.tasks.content import ContentAddressedStore
from packhouse.sync.tasks.driving import drive, taken
from packhouse.sync.tasks.task import SpinTaskDatastore, TaskDataStore
from packhouse.tasks.flow import FlowDataStore as AsyncFlow
from packhouse.tasks.flow import MetadataCache

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from packhouse.sync.saving import SyncBlobs
    from packhouse.tasks.guards import TaskMode
    from packhouse.tasks.serializers import Serializer, Trust

__all__ = ["FlowDataStore"]


class FlowDataStore:
    """The tasks and data of one flow, as `packhouse.tasks.FlowDataStore`; open from its construction on."""

    default_storage_impl: ClassVar[Any] = None

    def __init__(
        self,
        flow_name: str,
        environment: Any = None,
        metadata: Any = None,
        event_logger: Any = None,
        monitor: Any = None,
        storage_impl: Any = None,
        ds_root: str | os.PathLike[str] | None = None,
        *,
        serializers: str | Iterable[Serializer] | None = None,
        trust: Trust = "pickle",
    ) -> None:
        self.inner = AsyncFlow(
            flow_name, environment, metadata, event_logger, monitor, storage_impl or self.default_storage_impl, ds_root,
            serializers=serializers, trust=trust,
        )  # fmt: skip
        self.portal = Portal(self.inner)
        self.store = BlobStore._over(self.inner.store, self.portal)
        self.ca_store = ContentAddressedStore._over(self.portal, self.store, self.inner.ca_store)
        self.TYPE = self.inner.TYPE
        self.flow_name = flow_name
        self.environment = environment
        self.metadata = metadata
        self.logger = event_logger
        self.monitor = monitor

    @property
    def datastore_root(self) -> str:
        """The URL of the store."""
        return self.inner.datastore_root

    def __repr__(self) -> str:
        return repr(self.inner).replace("packhouse.tasks", "packhouse.sync.tasks")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the store, once; what other threads are saving is finished or withdrawn."""
        self.portal.close()

    def set_metadata_cache(self, cache: MetadataCache | None) -> None:
        """Keep records of attempts that are done in this cache; None for no cache."""
        self.inner.set_metadata_cache(cache)

    def get_latest_task_datastores(
        self,
        run_id: str | None = None,
        steps: Iterable[str] | None = None,
        pathspecs: Iterable[str] | None = None,
        allow_not_done: bool = False,
    ) -> list[TaskDataStore]:
        """Return the latest attempt of each task, if it is done. As `packhouse.tasks.FlowDataStore`'s."""
        found: list[TaskDataStore] = self.get_task_datastores(run_id, steps, pathspecs, allow_not_done)
        return found

    def get_task_datastores(
        self,
        run_id: str | None = None,
        steps: Iterable[str] | None = None,
        pathspecs: Iterable[str] | None = None,
        allow_not_done: bool = False,
        attempt: int | None = None,
        include_prior: bool = False,
        mode: TaskMode = "r",
        join_type: str | None = None,
        orig_flow_datastore: FlowDataStore | None = None,
        spin_artifacts: Mapping[str, Any] | None = None,
    ) -> list[Any]:
        """As `get_latest_task_datastores`, with more to choose. As `packhouse.tasks.FlowDataStore`'s."""
        if orig_flow_datastore is not None:
            found = self.get_task_datastores(
                run_id, steps, pathspecs, allow_not_done, attempt, include_prior=include_prior
            )
            return [
                self.get_task_datastore(
                    each.run_id, each.step_name, each.task_id, each.attempt, None, mode, allow_not_done,
                    join_type, orig_flow_datastore, spin_artifacts,
                )
                for each in found
            ]  # fmt: skip
        opened = self.portal.call(
            self.inner.get_task_datastores, run_id, taken(steps), taken(pathspecs), allow_not_done, attempt,
            include_prior, mode,
        )  # fmt: skip
        return [TaskDataStore._over(self, each) for each in opened]

    def get_task_datastore(
        self,
        run_id: str,
        step_name: str,
        task_id: str,
        attempt: int | None = None,
        data_metadata: Mapping[str, Any] | None = None,
        mode: TaskMode = "r",
        allow_not_done: bool = False,
        join_type: str | None = None,
        orig_flow_datastore: FlowDataStore | None = None,
        spin_artifacts: Mapping[str, Any] | None = None,
        persist: bool = True,
    ) -> Any:
        """Open one task. As `packhouse.tasks.FlowDataStore.get_task_datastore`."""
        origin = orig_flow_datastore
        opened = (self if origin is None else origin).portal.call(
            self.inner.get_task_datastore, run_id, step_name, task_id, attempt, data_metadata, mode, allow_not_done,
            join_type, None if origin is None else origin.inner, spin_artifacts, persist,
        )  # fmt: skip
        if origin is None:
            return TaskDataStore._over(self, opened)
        before = TaskDataStore._over(origin, opened.orig_datastore)
        return SpinTaskDatastore(self.flow_name, run_id, step_name, task_id, before, opened.spin_artifacts)

    def save_data(self, data_iter: SyncBlobs, len_hint: int = 0) -> list[tuple[str, str]]:
        """Save blobs that belong to the flow: (URI, key) of each. As `packhouse.tasks.FlowDataStore.save_data`."""
        event = self.inner._event("save_data")
        saved = self.store.save_blobs(data_iter, len_hint=len_hint)
        event.count, event.bytes = len(saved), sum(blob.size for blob in saved)
        event.tell()
        return [(self.ca_store.uri(blob.key), blob.key) for blob in saved]

    def load_data(self, keys: Iterable[Any], force_raw: bool = False) -> Iterator[tuple[str, bytes]]:
        """Load what `save_data` saved: (key, content). As `packhouse.tasks.FlowDataStore.load_data`."""
        yield from drive(self.portal, self.inner.load_data(list(keys), force_raw))
