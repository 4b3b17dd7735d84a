"""Files by their paths, as Metaflow's storage classes have them, in a packhouse store: durable, verified."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from packhouse.compat.metaflow.packed.paths import BlobFile, LogFile, OtherFile, TaskFile, other_prefix, place_of
from packhouse.errors import BlobNotFound, InvalidInput
from packhouse.names import Document
from packhouse.tasks.files import TaskFiles, make_document, value_of
from packhouse.tasks.layout import flow_prefix, part, unpart
from packhouse.tasks.logs import Logs
from packhouse.tasks.record import Record

if TYPE_CHECKING:
    from packhouse.blobs.sources import BlobSource
    from packhouse.blobs.store import BlobStore
    from packhouse.tasks.layout import TaskId
    from packhouse.tasks.logs import LogName

__all__ = ["Known", "Listed", "PackedFiles"]

_STEP_PARTS = 3
_MOST_KNOWN = 100_000
_SEARCH_SECONDS = 2.0
_PAGE = 200


class Listed(NamedTuple):
    """One thing in a folder."""

    path: str
    is_file: bool


class Known(NamedTuple):
    """What a record told about a blob: where it stands, and as which artifact."""

    locator: str | None
    artifact: str = ""
    added: int = 0
    """Bytes that saving it added to the store, where this process saved it."""


class PackedFiles:
    """The files of a datastore, by Metaflow's paths.

    Args:
        store: open.

    Attributes:
        known: what the records that were read, and the blobs that were saved, told: key → where it stands.
    """

    def __init__(self, store: BlobStore) -> None:
        self._store = store
        self.known: dict[str, Known] = {}

    def note(self, key: str, known: Known) -> None:
        """Remember where a blob stands; what is too much is forgotten: it is a hint."""
        if len(self.known) >= _MOST_KNOWN:
            self.known.clear()
        self.known[key] = known

    async def artifact_of(self, key: str, flow: str) -> str:
        """Look in a flow's records for an artifact that is kept in a blob, for a moment at most; empty without one."""
        if key in self.known and self.known[key].artifact:
            return self.known[key].artifact
        until = time.monotonic() + _SEARCH_SECONDS
        prefix = f"tasks/record/{part(flow)}/"
        listing = self._store.names.list(prefix)
        while (names := await listing.page(_PAGE)) and time.monotonic() < until:
            for name, document in zip(names, await self._store.names.get_many(names), strict=True):
                record = Record() if document is None else Record.of(await value_of(self._store, document))
                for artifact, kept in record.objects.items():
                    if kept == key:
                        task = name.removeprefix(prefix).split("/")[:-1]
                        return "/".join((flow, *map(unpart, task), artifact))
        return ""

    async def save(self, files: Sequence[tuple[str, bytes]], *, overwrite: bool) -> None:
        """Save files; durable on return: metadata with one sync, the logs of an attempt with one commit.

        Raises:
            InvalidInput: a blob, which has no path here, or a task's file that is not JSON.
            BlobNotFound: a task's record names a blob that is not there; it is not written.
        """
        documents: list[Document] = []
        records: list[tuple[TaskFile, int, Any]] = []
        logs: dict[tuple[TaskId, int], dict[LogName, BlobSource]] = {}
        for path, content in files:
            match place_of(path):
                case BlobFile():
                    raise InvalidInput(f"{path}: blobs are saved by the content-addressed store alone", kind="name")
                case LogFile(task, attempt, log):
                    if overwrite or not await Logs(self._store, task, attempt).exists(log):
                        logs.setdefault((task, attempt), {})[log] = content
                case TaskFile() as file:
                    value = _json(path, content)
                    if file.record_of is None:
                        documents.append(await make_document(self._store, file.name, value))
                    else:
                        records.append((file, file.record_of, value))
                case OtherFile(name):
                    (saved,) = await self._store.save_blobs([content], pin=False)
                    documents.append(Document(name, {"size": saved.size, "key": saved.key}, (saved.key,)))
        for (task, attempt), contents in logs.items():
            await Logs(self._store, task, attempt).replace(contents)
        for file, attempt, value in records:
            await self._save_record(file, attempt, value, overwrite=overwrite)
        if documents and overwrite:
            await self._store.names.put_many(documents)
        elif documents:
            await self._store.names.put_if_absent_many(documents)

    async def load(self, paths: Sequence[str]) -> list[bytes | None]:
        """Read files; None for one that is not there.

        Raises:
            CorruptBlob: what is stored does not verify.
        """
        places = [place_of(path) for path in paths]
        names = [place.name for place in places if isinstance(place, (TaskFile, OtherFile))]
        documents = iter(await self._store.names.get_many(names))
        found: list[bytes | None] = []
        for place in places:
            match place:
                case LogFile(task, attempt, log):
                    found.append(await Logs(self._store, task, attempt).load(log))
                case BlobFile(key):
                    found.append(await self._store.load(key) if await self._has(key) else None)
                case OtherFile():
                    other = next(documents)
                    found.append(None if other is None else await self._store.load(other.doc["key"]))
                case TaskFile() as file:
                    document = next(documents)
                    if document is None:
                        found.append(None)
                        continue
                    value = await value_of(self._store, document)
                    if file.record_of is not None:
                        self._learn(file, Record.of(value))
                    found.append(json.dumps(value).encode())
        return found

    async def exist(self, paths: Sequence[str]) -> list[bool]:
        """Tell which files are there."""
        return [await self.size(path) is not None for path in paths]

    async def size(self, path: str) -> int | None:
        """Tell the bytes of a file; None when it is not there."""
        match place_of(path):
            case LogFile(task, attempt, log):
                return await Logs(self._store, task, attempt).size(log)
            case BlobFile(key):
                return await self._store.size(key) if await self._has(key) else None
            case OtherFile(name):
                (document,) = await self._store.names.get_many([name])
                return None if document is None else int(document.doc["size"])
            case TaskFile():
                (content,) = await self.load([path])
                return None if content is None else len(content)

    async def list(self, path: str) -> Sequence[Listed]:
        """List a folder: of a flow its runs, of a run its steps, of a step the tasks that have begun, in order."""
        parts = path.strip("/").split("/")
        prefix = flow_prefix(*parts) if len(parts) <= _STEP_PARTS else f"{other_prefix(path)}/"
        found: dict[str, bool] = {}
        async for name in self._store.names.list(prefix):
            child, slash, _ = name.removeprefix(prefix).partition("/")
            if len(parts) == _STEP_PARTS:
                child = child.rsplit(".", 2)[0]
            found[unpart(child)] = len(parts) > _STEP_PARTS and not slash
        if not found and len(parts) <= _STEP_PARTS:
            return await self._others(path)
        return [Listed(f"{path}/{child}", is_file) for child, is_file in found.items()]

    async def _others(self, path: str) -> Sequence[Listed]:
        prefix = f"{other_prefix(path)}/"
        found: dict[str, bool] = {}
        async for name in self._store.names.list(prefix):
            child, slash, _ = name.removeprefix(prefix).partition("/")
            found[unpart(child)] = not slash
        return [Listed(f"{path}/{child}", is_file) for child, is_file in found.items()]

    async def _save_record(self, file: TaskFile, attempt: int, value: Any, *, overwrite: bool) -> None:
        if not overwrite and await self._has_name(file.name):
            return
        record = Record.of(value)
        known = {name: self.known.get(key, Known(None)) for name, key in record.objects.items()}
        places = {name: one.locator for name, one in known.items() if one.locator}
        document = {**value, "places": places, "added": {name: one.added for name, one in known.items()}}
        await TaskFiles(self._store, file.task).write_record_document(document, record.objects.values(), attempt)

    def _learn(self, file: TaskFile, record: Record) -> None:
        for name, key in record.objects.items():
            self.note(key, Known(record.places.get(name), f"{file.task}/{name}"))

    async def _has_name(self, name: str) -> bool:
        return (await self._store.names.get_many([name]))[0] is not None

    async def _has(self, key: str) -> bool:
        try:
            return await self._store.contains(key)
        except (InvalidInput, BlobNotFound):
            return False


def _json(path: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except ValueError as error:
        raise InvalidInput(f"{path}: the files of a task are JSON and logs: {error}", kind="document") from error
