"""The documents of one task: state, record and metadata, under the names that `layout` gives them."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from packhouse.errors import InvalidInput, NameNotFound
from packhouse.names import Document
from packhouse.tasks.layout import ATTEMPT, DATA, DONE, MAX_ATTEMPTS, META, TaskId
from packhouse.tasks.record import Record

if TYPE_CHECKING:
    from packhouse.blobs.store import BlobStore
    from packhouse.names import NamedDocument

__all__ = ["Attempts", "TaskFiles", "find_attempts", "make_document", "read_records", "value_of"]

_LARGEST = 8 << 20  # a name's document has at most 16 MiB
_RESERVED = (ATTEMPT, DONE, DATA)


class Attempts(NamedTuple):
    """Which attempts of a task have begun, and which are done."""

    started: frozenset[int]
    done: frozenset[int]

    @property
    def latest(self) -> int | None:
        """The highest that has begun; None when none has."""
        return max(self.started, default=None)


class TaskFiles:
    """What is kept of a task beside its blobs.

    Args:
        store: open.
        task: whose.
    """

    def __init__(self, store: BlobStore, task: TaskId) -> None:
        self._store = store
        self._task = task

    async def load(self, names: Sequence[str], attempt: int | None) -> list[Any]:
        """Read documents; `MISSING` stands for one that is not there."""
        found = await self._store.names.get_many([self._task.file(name, attempt) for name in names])
        return [MISSING if one is None else await value_of(self._store, one) for one in found]

    async def has(self, names: Sequence[str], attempt: int | None) -> list[bool]:
        """Tell which documents are there."""
        found = await self._store.names.get_many([self._task.file(name, attempt) for name in names])
        return [one is not None for one in found]

    async def save(self, contents: Mapping[str, object], attempt: int | None, *, overwrite: bool = True) -> None:
        """Write metadata for one sync; all is encoded before the first is written.

        Raises:
            InvalidInput: a name that is the store's own, or a value that is not JSON; nothing is written.
        """
        for name in contents:
            if not name:
                raise InvalidInput(f"the name of metadata is text, not {name!r}", kind="name")
            if name in _RESERVED or not self._plain(name, attempt).startswith(META):
                raise InvalidInput(f"{name!r} is what init_task and done write: save it by another name", kind="name")
        plain = ((self._plain(name, attempt), value) for name, value in contents.items())
        documents = [await make_document(self._store, name, value) for name, value in plain]
        if overwrite:
            await self._store.names.put_many(documents)
        else:
            await self._store.names.put_if_absent_many(documents)

    async def start(self, attempt: int | None, seconds: float) -> None:
        """Say that an attempt has begun."""
        await self._store.names.put(self._task.file(ATTEMPT, attempt), {"value": {"time": seconds}})

    async def write_record(self, record: Record, kind: str, attempt: int | None) -> None:
        """Write the record, which keeps the blobs alive; they must be stored.

        Raises:
            BlobNotFound: one is not; nothing is written.
        """
        await self.write_record_document(record.document(kind, attempt), record.objects.values(), attempt)

    async def write_record_document(self, value: Mapping[str, Any], keys: Collection[str], attempt: int | None) -> None:
        """Write a record as `write_record`, in the form of Metaflow's document, which may have more parts than ours.

        Its value is what JSON reads: text, numbers, lists and dicts with names of text, no types of Python's own.
        """
        name, refs = self._task.file(DATA, attempt), tuple(dict.fromkeys(keys))
        text = _as_json(value)
        if text is None:
            document = await make_document(self._store, name, value, refs)
        else:
            document = Document(name, {"ordered": text}, refs)
        await self._store.names.put(name, document.doc, refs=document.refs)

    async def mark_done(self, attempt: int | None) -> None:
        """Say that an attempt is done: its record stands before."""
        await self._store.names.put(self._task.file(DONE, attempt), {"value": ""})

    async def read_record(self, attempt: int | None) -> Record:
        """Read the record of an attempt that is done.

        Raises:
            NameNotFound: there is none.
        """
        (record,) = await read_records(self._store, [(self._task, attempt)])
        return record

    async def attempts(self) -> Attempts:
        """Tell which attempts there are."""
        return (await find_attempts(self._store, [self._task]))[self._task]

    def _plain(self, name: str, attempt: int | None) -> str:
        return self._task.file(f"{'' if attempt is None else f'{attempt}.'}{name}", None)


MISSING: Any = object()
"""Stands for a document that is not there: None is a value."""


async def find_attempts(store: BlobStore, tasks: Iterable[TaskId]) -> dict[TaskId, Attempts]:
    """Tell which attempts these tasks have, one look at each possible name: what was just written is seen."""
    tasks = list(dict.fromkeys(tasks))
    if not tasks:
        return {}
    facts = [(task, number, what) for task in tasks for number in range(MAX_ATTEMPTS) for what in (ATTEMPT, DONE)]
    found = await store.names.get_many([task.file(what, number) for task, number, what in facts])
    known: dict[tuple[TaskId, str], set[int]] = {(task, what): set() for task in tasks for what in (ATTEMPT, DONE)}
    for (task, number, what), document in zip(facts, found, strict=True):
        if document is not None:
            known[task, what].add(number)
    return {task: Attempts(frozenset(known[task, ATTEMPT]), frozenset(known[task, DONE])) for task in tasks}


async def read_records(store: BlobStore, attempts: Sequence[tuple[TaskId, int | None]]) -> list[Record]:
    """Read the records of attempts that are done.

    Raises:
        NameNotFound: one has none.
    """
    found = await store.names.get_many([task.file(DATA, attempt) for task, attempt in attempts])
    records = []
    for (task, attempt), document in zip(attempts, found, strict=True):
        if document is None:
            raise NameNotFound(f"attempt {attempt} of {task} is done, and its record is gone", kind="no-record")
        records.append(Record.of(await value_of(store, document)))
    return records


async def make_document(store: BlobStore, name: str, value: object, refs: tuple[str, ...] = ()) -> Document:
    """Make the document of a value as Metaflow's JSON would have it; what is too long for one is put into a blob.

    Raises:
        InvalidInput: JSON cannot say it.
    """
    try:
        text = json.dumps(value)
        document = _plain_or_text(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInput(f"metadata is not JSON: {error}", kind="document") from error
    if len(text) <= _LARGEST // 2 or len(orjson.dumps(document)) <= _LARGEST:
        return Document(name, document, refs)
    (blob,) = await store.save_blobs([text.encode()], pin=False)
    return Document(name, {"blob": blob.key}, (*refs, blob.key))


def _as_json(value: object) -> str | None:
    """Write again what was read from JSON, at once; None where it might differ (NaN, large numbers), or is long."""
    try:
        text = orjson.dumps(value)
    except orjson.JSONEncodeError:
        return None
    return None if b"null" in text or len(text) > _LARGEST // 2 else text.decode()


def _plain_or_text(text: str) -> dict[str, Any]:
    """Write JSON as a document; what a document would change, be it the order of keys alone, is kept as text."""
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=_small)
        orjson.dumps({"value": value})  # which knows no lone surrogates, and how deep lists may be in each other
    except (TypeError, ValueError):
        return {"text": text}
    in_order = json.dumps(value, sort_keys=True) == text  # a document's keys are sorted
    return {"value": value} if in_order else {"ordered": text}


def _refuse(constant: str) -> object:
    raise ValueError(constant)


def _small(digits: str) -> int:
    if len(digits) > 18:
        raise ValueError(digits)
    return int(digits)


async def value_of(store: BlobStore, document: NamedDocument) -> Any:
    """Read the value of a task's document.

    Raises:
        InvalidInput: it has a form that this version does not know.
    """
    match document.doc:
        case {"value": value}:
            return value
        case {"ordered": str(text)}:
            return orjson.loads(text)
        case {"text": str(text)}:
            return json.loads(text)
        case {"blob": str(key)}:
            return json.loads(await store.load(key))
    raise InvalidInput("a document of a task has a form that this version does not know", kind="document")
