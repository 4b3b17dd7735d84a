"""One attempt of a task: its artifacts, metadata and logs, with Metaflow's semantics."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, overload

from packhouse.blobs.opening import core_of
from packhouse.errors import InvalidInput, NameNotFound
from packhouse.tasks.artifacts import ArtifactView, SavedArtifacts
from packhouse.tasks.events import Batch, register_done
from packhouse.tasks.files import MISSING, TaskFiles
from packhouse.tasks.guards import TaskMode, needs, only_if_not_done
from packhouse.tasks.layout import ATTEMPT, DATA, DONE, MAX_ATTEMPTS, TaskId
from packhouse.tasks.persisting import consume, flow_artifacts
from packhouse.tasks.record import Record, StoredArtifact
from packhouse.tasks.saving import ArtifactBatch, ForceV4, Pairs, force_and_hint
from packhouse.tasks.tasklogs import TaskLogs

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from packhouse.blobs.records import KeyWithLocator
    from packhouse.tasks.flow import FlowDataStore
    from packhouse.tasks.siblings import Siblings

__all__ = ["TaskDataStore"]


class TaskDataStore(TaskLogs, ArtifactView):
    """Artifacts, metadata and logs of one attempt of one task. Got from a `FlowDataStore`.

    What needs only the record (`in`, iteration, `items`, `keys_for_artifacts`, `ds_metadata`, …) does not wait:
    it needs `await ds.ready()` first where the datastore came from a listing or from the constructor.

    Args:
        flow_datastore: where it belongs.
        run_id: text without `/`, as are the other two.
        step_name: the step.
        task_id: the task.
        attempt: 0 to 5; None for the latest that has begun. In mode `"w"` None writes files without attempt.
        data_metadata: the record, `{"objects", "info"}`, believed unread.
        mode: `"r"`, `"w"` (one attempt, empty at first), or `"d"` (to scrub logs).
        allow_not_done: open an attempt that is not done; it has no artifacts.
        persist: whether `persist` saves anything.

    Raises:
        InvalidInput: an argument that cannot be used.
    """

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
        *,
        _siblings: Siblings | None = None,
        _task: TaskId | None = None,
    ) -> None:
        if mode not in ("r", "w", "d"):
            raise InvalidInput(f"a task's mode is 'r', 'w' or 'd', not {mode!r}", kind="task-mode")
        if attempt is not None and attempt < 0:
            raise InvalidInput(f"an attempt is a number from 0 on, not {attempt!r}", kind="attempt")
        if mode == "w" and attempt is not None and attempt >= MAX_ATTEMPTS:
            message = f"attempts are 0 to {MAX_ATTEMPTS - 1}: attempt {attempt} would never be found again"
            raise InvalidInput(message, kind="attempt")
        self.TYPE = flow_datastore.TYPE
        self._task = _task or TaskId.checked(flow_datastore.flow_name, run_id, step_name, task_id)
        self._parent = flow_datastore
        self._attempt = attempt
        self._mode: TaskMode = mode
        self._allow_not_done = allow_not_done
        self._persist = persist
        self._is_done_set = False
        self._siblings = _siblings
        self._record_read: Record | None = None
        if mode == "w" or (mode == "r" and data_metadata is not None):
            self._record_read = Record.of((data_metadata if mode == "r" else None) or {})

    async def ready(self) -> TaskDataStore:
        """Read what has to be read before anything else: which attempt it is, and its record.

        Raises:
            NameNotFound: the attempt is not done, or none has begun (kind `no-attempt`).
        """
        if self._record_read is None:
            if self._siblings is not None:
                self._record_read = await self._siblings.record(self)
            elif self._mode == "d":
                await self._find_attempt()
                self._record_read = Record()
            else:
                self._record_read = await self._find_attempt()
        return self

    @property
    def run_id(self) -> str:
        """The run."""
        return self._task.run_id

    @property
    def step_name(self) -> str:
        """The step."""
        return self._task.step_name

    @property
    def task_id(self) -> str:
        """The task."""
        return self._task.task_id

    @property
    def attempt(self) -> int | None:
        """The attempt; of one that was opened as the latest, known when it is ready."""
        return self._attempt

    @property
    def mode(self) -> TaskMode:
        """`"r"`, `"w"` or `"d"`."""
        return self._mode

    @property
    def is_done(self) -> bool:
        """Whether `done` of this object was called."""
        return self._is_done_set

    @property
    def pathspec(self) -> str:
        """`run/step/task`."""
        return self._task.pathspec

    @property
    def pathspec_index(self) -> Awaitable[str]:
        """`run/step[i,j]`, from the artifact `_foreach_stack`; awaited."""
        return self._pathspec_index()

    @property
    def parent_datastore(self) -> FlowDataStore:
        """The flow's datastore."""
        return self._parent

    @property
    def ds_metadata(self) -> dict[str, Any]:
        """A copy of the record: `{"objects", "info"}`."""
        return {"objects": dict(self._record.objects), "info": dict(self._record.info)}

    def __repr__(self) -> str:
        return f"<packhouse.tasks.TaskDataStore {self._task} attempt={self._attempt} mode={self._mode!r}>"

    @only_if_not_done
    @needs("w")
    async def init_task(self) -> None:
        """Begin the attempt, durably: without this it is not found."""
        await self._files.start(self._attempt, time.time())

    @only_if_not_done
    @needs("w")
    async def save_artifacts(self, artifacts_iter: Pairs, force_v4: ForceV4 | int = False, len_hint: int = 0) -> None:
        """Save artifacts in one pipelined batch with one durable commit.

        They are found by others after `done`. When it raises nothing of the batch is recorded.

        Args:
            artifacts_iter: (name, value), an iterable, sync or async, consumed lazily, once. A sync one runs in worker
                threads, where values are serialised. The last of equal names counts.
            force_v4: pickle with protocol 4 in one piece: all, or those named. An int is a `len_hint`.
            len_hint: how many there will be; 0 when unknown.

        Raises:
            InvalidInput: a value that cannot be pickled (kind `unpicklable`), or a name that is no text.
        """
        force, hint = force_and_hint(force_v4, len_hint)
        batch = ArtifactBatch(artifacts_iter, self._parent.serializers, force)
        event = self._event("save_artifacts")
        jobs = core_of(self._parent.store).jobs
        saved = await self._parent.store.save_blobs(batch.pull(jobs), len_hint=hint, pin=False)
        self._note_saved(batch, saved, event)

    def _note_saved(self, batch: ArtifactBatch, saved: SavedArtifacts, event: Batch) -> None:
        batch.finish(saved, self._record)
        event.count, event.bytes = len(saved), batch.size
        event.tell()

    @only_if_not_done
    @needs("w")
    async def save_metadata(
        self, contents: Mapping[str, object], allow_overwrite: bool = True, add_attempt: bool = True
    ) -> None:
        """Save metadata, durably, with one sync; all of it is encoded before the first is written.

        Args:
            contents: name → what JSON can say. Names are opaque text.
            allow_overwrite: otherwise a name that is there keeps its value.
            add_attempt: the metadata is this attempt's; otherwise the task's.

        Raises:
            InvalidInput: a value that is not JSON, or a name of the store's own.
        """
        await self._files.save(contents, self._attempt if add_attempt else None, overwrite=allow_overwrite)

    @needs("w")
    async def _dangerous_save_metadata_post_done(
        self, contents: Mapping[str, object], allow_overwrite: bool = True, add_attempt: bool = True
    ) -> None:
        """Save metadata although the attempt may be done."""
        await self._files.save(contents, self._attempt if add_attempt else None, overwrite=allow_overwrite)

    @needs("r")
    async def load_metadata(self, names: Iterable[str], add_attempt: bool = True) -> dict[str, Any]:
        """Load metadata: name → value, None for what is not there."""
        await self.ready()
        wanted = list(dict.fromkeys(names))
        found = await self._files.load(wanted, self._attempt if add_attempt else None)
        return {name: None if value is MISSING else value for name, value in zip(wanted, found, strict=True)}

    @overload
    async def has_metadata(self, name: str, add_attempt: bool = True) -> bool: ...  # type: ignore[overload-overlap]  # a str is one name
    @overload
    async def has_metadata(self, name: Iterable[str], add_attempt: bool = True) -> dict[str, bool]: ...
    async def has_metadata(self, name: str | Iterable[str], add_attempt: bool = True) -> bool | dict[str, bool]:
        """Tell whether there is such metadata; of several names, which."""
        await self.ready()
        wanted = [name] if isinstance(name, str) else list(dict.fromkeys(name))
        found = await self._files.has(wanted, self._attempt if add_attempt else None)
        return found[0] if isinstance(name, str) else dict(zip(wanted, found, strict=True))

    @only_if_not_done
    @needs("w")
    async def done(self) -> None:
        """Make the attempt visible with all its artifacts: first its record, then the mark that it is done.

        The metadata provider hears of it last; what it raises comes after the mark.

        Raises:
            BlobNotFound: an artifact's blob is not in this store, after `clone` from another root for instance; the
                attempt is not done.
        """
        await self._files.write_record(self._record, self.TYPE, self._attempt)
        await self._files.mark_done(self._attempt)
        if self._parent.metadata is not None:
            root = self._parent.datastore_root
            await register_done(self._parent.metadata, self._task, self._attempt, self._record, self.TYPE, root)
        self._is_done_set = True

    @only_if_not_done
    @needs("w")
    async def clone(self, origin: TaskDataStore) -> None:
        """Take over all artifacts of another task, in place of what is here; nothing is copied, nothing shared."""
        await origin.ready()
        record = Record()
        record.take(origin._record, origin._record.objects)
        self._record_read = record

    @only_if_not_done
    @needs("w")
    async def passdown_partial(self, origin: TaskDataStore, variables: Iterable[str]) -> None:
        """Take over some artifacts of another task; names that it lacks are left out. Nothing is copied."""
        await origin.ready()
        self._record.take(origin._record, variables)

    @only_if_not_done
    @needs("w")
    async def transfer_artifacts(self, other_datastore: TaskDataStore, names: Iterable[str] | None = None) -> None:
        """Copy the blobs of another task's artifacts into this store, durably, if it is another store; record nothing.

        Args:
            other_datastore: the other task.
            names: which artifacts; None for all, names that it lacks are left out.
        """
        missing = await self._lacking(other_datastore, names)
        if missing:
            await self._parent.store.save_blobs(_contents(other_datastore, missing), pin=False)

    async def _lacking(self, other: TaskDataStore, names: Iterable[str] | None) -> list[KeyWithLocator]:
        """Tell which blobs of another task's artifacts this store does not have."""
        await other.ready()
        if (self.TYPE, self._parent.datastore_root) == (other.TYPE, other._parent.datastore_root):
            return []
        theirs = other._record
        wanted = theirs.objects if names is None else [name for name in names if name in theirs.objects]
        keys = list({theirs.objects[name]: theirs.located(name) for name in wanted}.values())
        return [key for key in keys if not await self._parent.store.contains(key.key)]

    @only_if_not_done
    @needs("w")
    async def persist(self, flow: Any) -> None:
        """Save the artifacts of a flow object: destructive, public attributes are taken from it one by one.

        What `flow._datastore` holds is taken over first. With `persist=False` nothing happens.
        """
        if self._persist:
            artifacts = flow_artifacts(flow)
            before: Any = getattr(flow, "_datastore", None)
            if before is not None:
                await before.ready()
                names = self._inherit(before._record, artifacts)
                if hasattr(before, "orig_datastore"):
                    await self.transfer_artifacts(before.orig_datastore, names)
            await self.save_artifacts(consume(flow, artifacts), len_hint=len(artifacts))

    def _inherit(self, before: Record, artifacts: list[tuple[str, Any]]) -> set[str]:
        """Take over what a flow's own datastore holds; return the names that stay in use."""
        self._record.take(before, before.objects)
        return set(before.objects) - {name for name, _ in artifacts}

    def artifacts(self) -> list[StoredArtifact]:
        """List the artifacts: key, size, type, encoding, and how much saving each added to the store."""
        return self._record.artifacts()

    @property
    def _record(self) -> Record:
        if self._record_read is None:
            raise InvalidInput(f"{self!r} has not been read: await its ready() first", kind="not-ready")
        return self._record_read

    @property
    def _files(self) -> TaskFiles:
        return TaskFiles(self._parent.store, self._task)

    def _event(self, name: str) -> Batch:
        context = {"flow": self._task.flow, "pathspec": self.pathspec, "attempt": self._attempt}
        return Batch(self._parent.logger, self._parent.monitor, name, context)

    async def _find_attempt(self) -> Record:
        """Apply the done rule: the latest attempt that has begun counts, and only when it is done."""
        attempts = await self._files.attempts()
        asked = self._attempt
        wanted = attempts.latest if asked is None else asked
        if self._mode == "r" and asked is not None and (attempts.latest is None or asked > attempts.latest):
            return Record()
        self._attempt = wanted
        done = wanted in attempts.done if wanted is not None else (await self._files.has([DONE], None))[0]
        if done:
            return Record() if self._mode == "d" else await self._files.read_record(wanted)
        if self._allow_not_done and (wanted is not None or self._mode == "d"):
            return Record()
        what = "no attempt" if wanted is None else f"attempt {wanted}, the latest,"
        raise NameNotFound(f"{what} of task {self._task} is done", kind="no-attempt")

    async def _pathspec_index(self) -> str:
        await self.ready()
        frames = await self["_foreach_stack"]
        return self._indexed(frames, await self["_iteration_stack"] if "_iteration_stack" in self else None)

    def _indexed(self, frames: Iterable[Any], iterations: Iterable[Any] | None) -> str:
        text = f"{self.run_id}/{self.step_name}[{','.join(str(frame.index) for frame in frames)}]"
        return text if iterations is None else f"{text}[{','.join(map(str, iterations))}]"

    def __iter__(self) -> Iterator[str]:
        return self._names()

    @needs("r")
    def _names(self) -> Iterator[str]:
        return iter(self._record.objects)


async def _contents(other: TaskDataStore, keys: list[Any]) -> AsyncIterator[AsyncIterator[bytes]]:
    for key in keys:
        yield await other.parent_datastore.store.open_read(key)
