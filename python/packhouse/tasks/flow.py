"""All tasks of one flow: which there are, and the data that belongs to the flow as a whole."""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, ClassVar, Self

from packhouse.tasks.content import ContentAddressedStore
from packhouse.tasks.events import Batch
from packhouse.tasks.finding import find_tasks
from packhouse.tasks.layout import TaskId
from packhouse.tasks.serializers import Serializer, Serializers, Trust
from packhouse.tasks.siblings import Siblings
from packhouse.tasks.spin import SpinTaskDatastore
from packhouse.tasks.storage import PackhouseStorage, make_storage
from packhouse.tasks.task import TaskDataStore

if TYPE_CHECKING:
    import os
    from types import TracebackType

    from packhouse.blobs.loading import KeysToLoad
    from packhouse.blobs.saving import Blobs
    from packhouse.blobs.store import BlobStore
    from packhouse.tasks.guards import TaskMode

__all__ = ["FlowDataStore", "MetadataCache"]


class MetadataCache(ABC):
    """Where records of attempts that are done are kept beside the store; methods may be coroutine functions."""

    @abstractmethod
    def load_metadata(self, run_id: str, step_name: str, task_id: str, attempt: int) -> Any:
        """Return what `store_metadata` was given, or `{"objects", "info"}` as of Metaflow's, or None."""

    @abstractmethod
    def store_metadata(self, run_id: str, step_name: str, task_id: str, attempt: int, metadata_dict: Any) -> Any:
        """Keep a record: `{"objects", "info", "places", "added"}`, of what JSON can say."""


class FlowDataStore:
    """The tasks and data of one flow: `async with FlowDataStore("Training", ds_root="store") as flow`.

    Loading artifacts means reading pickles, which runs code of whoever could write to the store: this class promises
    Python objects, so it trusts them. `trust=None` refuses.

    Args:
        flow_name: text without `/`.
        environment: kept for whoever asks for it.
        metadata: a provider in Metaflow's form; hears of each attempt that is done.
        event_logger: its `log` gets a dict for each `save_artifacts` and `save_data` that ended well and for each
            `load_artifacts` and `load_data`: count, bytes, seconds. It may raise; it is called on the event loop.
        monitor: its `gauge` gets the same three figures. It may raise.
        storage_impl: a class that is called with `ds_root`; None for `default_storage_impl`, else `PackhouseStorage`.
            Of Metaflow's `DataStoreStorage` classes the root is used: the store is its folder `packhouse`.
        ds_root: a path or any URL that `packhouse.open` takes, or an open store; None for `$PACKHOUSE_ROOT`, else
            `.packhouse` in the working directory.
        serializers: None for typed forms and pickle; `"pickle"` to record as Metaflow does; or serializers of your own,
            asked before ours.
        trust: `"pickle"`, or None to refuse pickles.

    Raises:
        InvalidInput: an argument that cannot be used.
    """

    default_storage_impl: ClassVar[Any] = None

    def __init__(
        self,
        flow_name: str,
        environment: Any = None,
        metadata: Any = None,
        event_logger: Any = None,
        monitor: Any = None,
        storage_impl: Any = None,
        ds_root: str | os.PathLike[str] | BlobStore | None = None,
        *,
        serializers: str | Iterable[Serializer] | None = None,
        trust: Trust = "pickle",
    ) -> None:
        TaskId.checked(flow_name, "run", "step", "task")
        if serializers is None or isinstance(serializers, str):
            self.serializers = Serializers(choice=serializers, trust=trust)
        else:
            self.serializers = Serializers(serializers, trust=trust)
        self._storage_impl = make_storage(storage_impl or self.default_storage_impl or PackhouseStorage, ds_root)
        self.TYPE = self._storage_impl.TYPE
        self.flow_name = flow_name
        self.environment = environment
        self.metadata = metadata
        self.logger = event_logger
        self.monitor = monitor
        self.ca_store = ContentAddressedStore(f"{flow_name}/data", self._storage_impl)
        self._metadata_cache: Any = None

    @property
    def datastore_root(self) -> str:
        """The URL of the store."""
        return self._storage_impl.datastore_root

    @property
    def url(self) -> str:
        """The URL of the store."""
        return self.datastore_root

    @property
    def store(self) -> BlobStore:
        """The packhouse store."""
        return self._storage_impl.store

    def __repr__(self) -> str:
        return f"<packhouse.tasks.FlowDataStore {self.flow_name!r} in {self.datastore_root!r}>"

    async def __aenter__(self) -> Self:
        await self._storage_impl.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._storage_impl.__aexit__(kind, error, traceback)

    def set_metadata_cache(self, cache: MetadataCache | None) -> None:
        """Keep records of attempts that are done in this cache; None for no cache."""
        self._metadata_cache = cache

    async def get_latest_task_datastores(
        self,
        run_id: str | None = None,
        steps: Iterable[str] | None = None,
        pathspecs: Iterable[str] | None = None,
        allow_not_done: bool = False,
    ) -> list[TaskDataStore]:
        """Return the latest attempt of each task of a run, or of those named, if it is done.

        A few listings, however many tasks there are; records are read when they are needed (`await ds.ready()`), those
        that follow each other together.

        Args:
            run_id: the run.
            steps: only these steps, unless None or empty.
            pathspecs: `run/step/task[/attempt]`; they count instead of run and steps, and give the order.
            allow_not_done: also the latest attempt of a task when it is not done.
        """
        found: list[TaskDataStore] = await self.get_task_datastores(run_id, steps, pathspecs, allow_not_done)
        return found

    async def get_task_datastores(
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
        """As `get_latest_task_datastores`, with more to choose.

        Args:
            run_id: see there, as for `steps`, `pathspecs` and `allow_not_done`.
            steps: see there.
            pathspecs: see there.
            allow_not_done: see there.
            attempt: this attempt instead of the latest; one beyond the last possible counts as None.
            include_prior: all attempts that are done, up to `attempt`.
            mode: of what is returned.
            join_type: with `orig_flow_datastore`: `spin_artifacts` are by pathspec.
            orig_flow_datastore: the datastore that artifacts come from; `SpinTaskDatastore`s are returned.
            spin_artifacts: values that count instead of stored ones.

        Raises:
            InvalidInput: neither a run nor pathspecs, or a pathspec that is none.
        """
        found = await find_tasks(
            self.store, self.flow_name, run_id, steps, pathspecs,
            allow_not_done=allow_not_done, attempt=attempt, include_prior=include_prior,
        )  # fmt: skip
        if orig_flow_datastore is not None or mode != "r":
            return [
                await self.get_task_datastore(
                    *task[1:], number, mode=mode, allow_not_done=allow_not_done, join_type=join_type,
                    orig_flow_datastore=orig_flow_datastore, spin_artifacts=spin_artifacts,
                )
                for task, number, _ in found
            ]  # fmt: skip
        siblings = Siblings(self.store, found)
        return [
            TaskDataStore(self, *task[1:], number, allow_not_done=allow_not_done, _siblings=siblings, _task=task)
            for task, number, _ in found
        ]

    async def get_task_datastore(
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
        """Open one task; see `TaskDataStore` for the arguments and `get_task_datastores` for those about spin.

        Raises:
            NameNotFound: in modes r and d: the attempt is not done.
        """
        if orig_flow_datastore is not None:
            values = dict(spin_artifacts or {})
            if join_type is not None:
                values = dict(values.get(f"{run_id}/{step_name}/{task_id}") or {})
            origin = await orig_flow_datastore.get_task_datastore(
                run_id, step_name, task_id, attempt, data_metadata, mode, allow_not_done, persist=persist
            )
            return SpinTaskDatastore(self.flow_name, run_id, step_name, task_id, origin, values)
        cache = self._metadata_cache if attempt is not None and not allow_not_done and mode == "r" else None
        cached = None
        if cache is not None and data_metadata is None:
            cached = await _maybe(cache.load_metadata(run_id, step_name, task_id, attempt))
        known = data_metadata if cached is None else cached
        opened = TaskDataStore(self, run_id, step_name, task_id, attempt, known, mode, allow_not_done, persist)
        await opened.ready()
        if cache is not None and cached is None and opened.ds_metadata["objects"]:
            await _maybe(cache.store_metadata(run_id, step_name, task_id, attempt, asdict(opened._record)))
        return opened

    async def save_data(self, data_iter: Blobs, len_hint: int = 0) -> list[tuple[str, str]]:
        """Save blobs that belong to the flow, in one durable commit; they are kept until they are released.

        Returns:
            (URI, key) of each, in input order. `packhouse cat URI` reads it.
        """
        event = self._event("save_data")
        saved = await self.store.save_blobs(data_iter, len_hint=len_hint)
        event.count, event.bytes = len(saved), sum(blob.size for blob in saved)
        event.tell()
        return [(self.ca_store.uri(blob.key), blob.key) for blob in saved]

    async def load_data(self, keys: KeysToLoad, force_raw: bool = False) -> AsyncIterator[tuple[str, bytes]]:
        """Load what `save_data` saved, verified: (key, content). Data is always raw, whatever `force_raw` promises.

        Raises:
            BlobNotFound: no blob has a key; raised after those that are there.
        """
        event = self._event("load_data")
        try:
            async for key, blob in self.ca_store.load_blobs(keys, force_raw=force_raw):
                event.add(len(blob))
                given = [(key, blob)]
                del blob  # so that the next is not read beside it
                yield given.pop()
        finally:
            event.tell()

    def _event(self, name: str) -> Batch:
        return Batch(self.logger, self.monitor, name, {"flow": self.flow_name})


async def _maybe(value: Any) -> Any:
    return await value if inspect.isawaitable(value) else value
