"""`TaskDataStore` without await: Metaflow's own signatures."""

from __future__ import annotations

from collections.abc import Collection, ItemsView, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

from packhouse.blobs.opening import core_of
from packhouse.blobs.progress import Tally
from packhouse.errors import NameNotFound
from packhouse.sync.saving import save_all
from packhouse.sync.tasks.driving import drive, taken
from packhouse.sync.tasks.logs import LogWriter
from packhouse.tasks.artifacts import ArtifactTooLarge
from packhouse.tasks.guards import TaskMode, needs, only_if_not_done
from packhouse.tasks.layout import ATTEMPT, DATA, DONE
from packhouse.tasks.loading import values
from packhouse.tasks.persisting import consume, flow_artifacts
from packhouse.tasks.saving import ArtifactBatch, ForceV4, SyncPairs, force_and_hint
from packhouse.tasks.spin import SpinTaskDatastore as AsyncSpin
from packhouse.tasks.task import TaskDataStore as AsyncTask

if TYPE_CHECKING:
    from packhouse.sync.tasks.flow import FlowDataStore
    from packhouse.tasks.logs import LogName
    from packhouse.tasks.record import StoredArtifact

__all__ = ["SpinTaskDatastore", "TaskDataStore"]


class TaskDataStore:
    """Artifacts, metadata and logs of one attempt of one task, as `packhouse.tasks.TaskDataStore`."""

    METADATA_ATTEMPT_SUFFIX = ATTEMPT
    METADATA_DONE_SUFFIX = DONE
    METADATA_DATA_SUFFIX = DATA

    def __init__(
        self,
        flow_datastore: FlowDataStore,
        run_id: str,
        step_name: str,
        task_id: str,
        attempt: int | None = None,
        data_metadata: Mapping[str, Any] | None = None,
        mode: TaskMode = "r",
        allow_not_done: bool = False,
        persist: bool = True,
    ) -> None:
        inner = AsyncTask(
            flow_datastore.inner, run_id, step_name, task_id, attempt, data_metadata, mode, allow_not_done, persist
        )
        flow_datastore.portal.call(inner.ready)
        self._bind(flow_datastore, inner)

    @classmethod
    def _over(cls, flow: FlowDataStore, inner: AsyncTask) -> TaskDataStore:
        """Make the facade of a task; its record is read when it is needed."""
        facade = cls.__new__(cls)
        facade._bind(flow, inner)
        return facade

    def _bind(self, flow: FlowDataStore, inner: AsyncTask) -> None:
        self._flow = flow
        self._portal = flow.portal
        self._inner = inner
        self.TYPE = inner.TYPE

    @property
    def inner(self) -> AsyncTask:
        """The datastore underneath, read."""
        if self._inner._record_read is None:
            siblings = self._inner._siblings
            record = None if siblings is None else siblings.read_ahead(self._inner)
            if record is None:
                self._portal.call(self._inner.ready)
            else:
                self._inner._record_read = record
        return self._inner

    @property
    def run_id(self) -> str:
        """The run."""
        return self._inner.run_id

    @property
    def step_name(self) -> str:
        """The step."""
        return self._inner.step_name

    @property
    def task_id(self) -> str:
        """The task."""
        return self._inner.task_id

    @property
    def attempt(self) -> int | None:
        """The attempt."""
        return self._inner.attempt

    @property
    def mode(self) -> TaskMode:
        """`"r"`, `"w"` or `"d"`."""
        return self._inner.mode

    @property
    def is_done(self) -> bool:
        """Whether `done` of this object was called."""
        return self._inner.is_done

    @property
    def pathspec(self) -> str:
        """`run/step/task`."""
        return self._inner.pathspec

    @property
    def pathspec_index(self) -> str:
        """`run/step[i,j]`, from the artifact `_foreach_stack`."""
        return self._inner._indexed(self["_foreach_stack"], self.get("_iteration_stack"))

    @property
    def parent_datastore(self) -> FlowDataStore:
        """The flow's datastore."""
        return self._flow

    @property
    def ds_metadata(self) -> dict[str, Any]:
        """A copy of the record: `{"objects", "info"}`."""
        return self.inner.ds_metadata

    def __repr__(self) -> str:
        return repr(self._inner).replace("packhouse.tasks", "packhouse.sync.tasks")

    @only_if_not_done
    @needs("w")
    def init_task(self) -> None:
        """Begin the attempt, durably. As `packhouse.tasks.TaskDataStore.init_task`."""
        self._portal.call(self._inner.init_task)

    @only_if_not_done
    @needs("w")
    def save_artifacts(self, artifacts_iter: SyncPairs, force_v4: ForceV4 | int = False, len_hint: int = 0) -> None:
        """Save artifacts with one durable commit. As `packhouse.tasks.TaskDataStore.save_artifacts`."""
        force, hint = force_and_hint(force_v4, len_hint)
        flow = self._inner.parent_datastore
        batch = ArtifactBatch(artifacts_iter, flow.serializers, force)
        event = self._inner._event("save_artifacts")
        core = core_of(flow.store, "save_artifacts")
        tally = Tally(None, hint)
        saved = save_all(self._portal, core, batch.sources(), pin=False, check=False, tally=tally)
        self._inner._note_saved(batch, saved, event)

    def load_artifacts(self, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
        """Load artifacts: (name, value). As `packhouse.tasks.TaskDataStore.load_artifacts`."""
        inner = self.inner
        wanted = inner._wanted(names)
        event = inner._event("load_artifacts")
        try:
            yield from values(self._flow.store, self._flow.ca_store.cache, wanted, event.add, str(inner._task))
        finally:
            event.tell()

    @needs("r")
    def get_artifact_sizes(self, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        """Tell sizes without loading. As `packhouse.tasks.TaskDataStore.get_artifact_sizes`."""
        return self._sizes(taken(names))

    def _sizes(self, names: Iterable[str]) -> Iterator[tuple[str, int]]:
        for name in names:
            self.inner._record.located(name)
            yield name, self._size(name)

    def _size(self, name: str) -> int:
        size = self.inner._recorded_size(name)
        return int(self[name].size) if size is None else size

    @only_if_not_done
    @needs("w")
    def save_metadata(
        self, contents: Mapping[str, object], allow_overwrite: bool = True, add_attempt: bool = True
    ) -> None:
        """Save metadata, durably. As `packhouse.tasks.TaskDataStore.save_metadata`."""
        self._portal.call(self._inner.save_metadata, contents, allow_overwrite, add_attempt)

    @needs("w")
    def _dangerous_save_metadata_post_done(
        self, contents: Mapping[str, object], allow_overwrite: bool = True, add_attempt: bool = True
    ) -> None:
        """Save metadata although the attempt may be done."""
        save = self._inner._dangerous_save_metadata_post_done
        self._portal.call(save, contents, allow_overwrite, add_attempt)

    @needs("r")
    def load_metadata(self, names: Iterable[str], add_attempt: bool = True) -> dict[str, Any]:
        """Load metadata: name → value, None for what is not there."""
        return self._portal.call(self._inner.load_metadata, list(names), add_attempt)

    @overload
    def has_metadata(self, name: str, add_attempt: bool = True) -> bool: ...  # type: ignore[overload-overlap]  # a str is one name
    @overload
    def has_metadata(self, name: Iterable[str], add_attempt: bool = True) -> dict[str, bool]: ...
    def has_metadata(self, name: str | Iterable[str], add_attempt: bool = True) -> bool | dict[str, bool]:
        """Tell whether there is such metadata; of several names, which."""
        return self._portal.call(self._inner.has_metadata, taken(name), add_attempt)

    def get(self, name: str, default: Any = None) -> Any:
        """Load one artifact; the default when there is none."""
        return self[name] if name in self.inner._record.objects else default

    @needs("r")
    def is_none(self, name: str) -> bool:
        """Tell whether an artifact is None, from its recorded type; an unknown one is."""
        return self._portal.call(self._inner.is_none, name)

    @only_if_not_done
    @needs("w")
    def done(self) -> None:
        """Make the attempt visible with all its artifacts. As `packhouse.tasks.TaskDataStore.done`."""
        self._portal.call(self._inner.done)

    @only_if_not_done
    @needs("w")
    def clone(self, origin: TaskDataStore) -> None:
        """Take over all artifacts of another task; nothing is copied, nothing shared."""
        self._portal.call(self._inner.clone, origin.inner)

    @only_if_not_done
    @needs("w")
    def passdown_partial(self, origin: TaskDataStore, variables: Iterable[str]) -> None:
        """Take over some artifacts of another task; names that it lacks are left out."""
        self._portal.call(self._inner.passdown_partial, origin.inner, list(variables))

    @only_if_not_done
    @needs("w")
    def transfer_artifacts(self, other_datastore: TaskDataStore, names: Iterable[str] | None = None) -> None:
        """Copy another task's blobs into this store. As `packhouse.tasks.TaskDataStore.transfer_artifacts`."""
        missing = self._portal.call(self._inner._lacking, other_datastore.inner, taken(names))
        if missing:
            core = core_of(self._inner.parent_datastore.store, "transfer_artifacts")
            theirs = other_datastore.parent_datastore.store  # of another loop: read from this thread
            blobs = (theirs.open_read(key) for key in missing)
            save_all(self._portal, core, blobs, pin=False, check=False, tally=Tally(None))

    @only_if_not_done
    @needs("w")
    def persist(self, flow: Any) -> None:
        """Save the artifacts of a flow object, destructively. As `packhouse.tasks.TaskDataStore.persist`."""
        if not self._inner._persist:
            return
        artifacts = flow_artifacts(flow)
        before: Any = getattr(flow, "_datastore", None)
        if before is not None:
            names = self._inner._inherit(before.inner._record, artifacts)
            if hasattr(before, "orig_datastore"):
                self.transfer_artifacts(before.orig_datastore, names)
        self.save_artifacts(consume(flow, artifacts), len_hint=len(artifacts))

    @only_if_not_done
    @needs("w")
    def save_logs(self, logsource: str, stream_data: Mapping[str, object]) -> None:
        """Save logs whole. As `packhouse.tasks.TaskDataStore.save_logs`, for sync sources."""
        self._portal.call(self._inner.save_logs, logsource, stream_data)

    @only_if_not_done
    @needs("w")
    def log_writer(self, logsource: str, stream: str, *, flush_bytes: int = 64 << 10) -> LogWriter:
        """Open a log to append to while the task runs."""
        return LogWriter(self._portal, self._inner.log_writer(logsource, stream, flush_bytes=flush_bytes))

    @needs("r")
    def load_logs(
        self, logsources: Iterable[str], stream: str, attempt_override: int | None = None
    ) -> list[tuple[str, bytes]]:
        """Load a stream of several sources: (source, content), b"" where there is none."""
        return self._portal.call(self._inner.load_logs, list(logsources), stream, attempt_override)

    @needs("r")
    def follow_log(self, logsource: str | None, stream: str, *, interval: float | None = 0.5) -> Iterator[bytes]:
        """Read a log and go on with what is appended. As `packhouse.tasks.TaskDataStore.follow_log`."""
        return drive(self._portal, self._inner.follow_log(logsource, stream, interval=interval))

    @needs("r")
    def load_log_legacy(self, stream: str, attempt_override: int | None = None) -> bytes:
        """Load a log from before there were sources; b"" when there is none."""
        return self._portal.call(self._inner.load_log_legacy, stream, attempt_override)

    @needs("r")
    def get_log_size(self, logsources: Iterable[str], stream: str) -> int:
        """Tell the bytes of a stream, summed over sources."""
        return self._portal.call(self._inner.get_log_size, list(logsources), stream)

    @needs("r")
    def get_legacy_log_size(self, stream: str) -> int | None:
        """Tell the bytes of a log from before there were sources; None when there is none."""
        return self._portal.call(self._inner.get_legacy_log_size, stream)

    def get_log_location(self, logprefix: str, stream: str) -> str:
        """Return where a log is: the store's URL and the log's name."""
        return self._inner.get_log_location(logprefix, stream)

    def log_names(self) -> list[LogName]:
        """List the logs of this attempt."""
        return self._portal.call(self._inner.log_names)

    @needs("d")
    def scrub_logs(self, logsources: Iterable[str], stream: str, attempt_override: int | None = None) -> None:
        """Replace what there is of a stream, for its readers. As `packhouse.tasks.TaskDataStore.scrub_logs`."""
        self._portal.call(self._inner.scrub_logs, list(logsources), stream, attempt_override)

    @needs("r")
    def keys_for_artifacts(self, names: Iterable[str]) -> list[str | None]:
        """Return the blobs' keys; None for an unknown name."""
        return self.inner.keys_for_artifacts(names)

    def items(self) -> ItemsView[str, str]:
        """Return (name, key) of all artifacts."""
        return self.inner.items()

    def artifacts(self) -> list[StoredArtifact]:
        """List the artifacts: key, size, type, encoding, and how much saving each added to the store."""
        return self.inner.artifacts()

    def to_dict(
        self, show_private: bool = False, max_value_size: int | None = None, include: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Load the artifacts as a dict. As `packhouse.tasks.TaskDataStore.to_dict`."""
        inner, values = self.inner, dict[str, Any]()
        for name in inner._shown(show_private, include):
            if max_value_size is not None and not inner._fits(name, self._size(name), max_value_size):
                values[name] = ArtifactTooLarge()
            else:
                values[name] = inner._decoded(name, self[name])
        return values

    @needs("r")
    def format(
        self, show_private: bool = False, max_value_size: int | None = None, include: Collection[str] | None = None
    ) -> str:
        """Write the artifacts as lines. As `packhouse.tasks.TaskDataStore.format`."""
        values = self.to_dict(show_private, max_value_size, include)
        return "\n".join(self._inner._line(name, self._size(name), values[name]) for name in sorted(values))

    def __contains__(self, name: object) -> bool:
        return name in self.inner

    def __getitem__(self, name: str) -> Any:
        for _, value in self.load_artifacts([name]):
            return value
        raise NameNotFound(f"task {self.pathspec} has no artifact {name!r}", kind="no-artifact")

    def __iter__(self) -> Iterator[str]:
        return iter(self.inner)

    def __str__(self) -> str:
        return self.format(show_private=True, max_value_size=1000)


class SpinTaskDatastore:
    """The artifacts of an earlier execution, some overridden, as `packhouse.tasks.SpinTaskDatastore`."""

    def __init__(
        self,
        flow_name: str,
        run_id: str,
        step_name: str,
        task_id: str,
        orig_datastore: TaskDataStore,
        spin_artifacts: Mapping[str, Any],
    ) -> None:
        self.inner = AsyncSpin(flow_name, run_id, step_name, task_id, orig_datastore.inner, spin_artifacts)
        self.flow_name = flow_name
        self.run_id = run_id
        self.step_name = step_name
        self.task_id = task_id
        self.orig_datastore = orig_datastore
        self.spin_artifacts = self.inner.spin_artifacts

    def __getitem__(self, name: str) -> Any:
        return self.spin_artifacts[name] if self.inner._overrides(name) else self.orig_datastore[name]

    def is_none(self, name: str) -> bool:
        """Tell whether a value is None; an unknown one is a KeyError."""
        return self[name] is None

    def __contains__(self, name: object) -> bool:
        return name in self.inner

    def items(self) -> ItemsView[str, str]:
        """Return (name, key) of the stored artifacts."""
        return self.inner.items()
