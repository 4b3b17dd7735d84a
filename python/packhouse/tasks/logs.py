"""Logs of a task: saved whole, or appended to and followed while the task runs.

A log is a head, the content that was saved last, and pieces that were appended since. Each piece is one document (text
up to 16 KiB stands in it, anything else in a blob it refers to) and is durable when `append` returns. Saving a log
anew begins a generation: older pieces no longer belong to it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import aiofiles
import anyio

from packhouse.errors import InvalidInput, NameConflict
from packhouse.names import Document
from packhouse.tasks.layout import ATTEMPT, DONE, MAX_ATTEMPTS, unpart
from packhouse.tasks.loglines import Lines

if TYPE_CHECKING:
    from packhouse.blobs.records import SavedBlob
    from packhouse.blobs.sources import BlobSource
    from packhouse.blobs.store import BlobStore
    from packhouse.tasks.layout import TaskId

__all__ = ["LogName", "LogWriter", "Logs", "log_source"]

_INLINE = 16 << 10
_FIRST = "0"
_AT_ONCE = 256


class LogName(NamedTuple):
    """One log of an attempt."""

    source: str
    stream: str


class Logs:
    """The logs of one attempt of a task.

    Args:
        store: open.
        task: whose.
        attempt: which; None for files without attempt.
    """

    def __init__(self, store: BlobStore, task: TaskId, attempt: int | None) -> None:
        self._store = store
        self._task = task
        self._attempt = attempt

    def name(self, log: LogName) -> str:
        """Return the name of a log's head."""
        return self._task.log(*log, self._attempt)

    async def replace(self, contents: dict[LogName, BlobSource]) -> None:
        """Save logs whole, in place of what is there."""
        heads = [self.name(log) for log in contents]
        saved = await self._store.save_blobs(contents.values(), pin=False)
        generations = [secrets.token_hex(8) for _ in saved]
        documents = [_head(*each) for each in zip(heads, saved, generations, strict=True)]
        await self._store.names.put_many(documents)
        for log, head, generation in zip(contents, heads, generations, strict=True):
            outdated = [name async for name in self._store.names.list(f"{head}/") if f"/{generation}." not in name]
            # Where it was saved anew once more, what was listed may be that save's: it deletes what is outdated itself.
            if outdated and (await self._generation(log))[1] == generation:
                await self._store.names.delete_many(outdated)

    async def load(self, log: LogName) -> bytes | None:
        """Read a log whole; None when there is none."""
        while True:
            position = _Position()
            pieces = [piece async for piece in self._unread(log, position)]
            head, generation = await self._generation(log)
            if generation == position.generation:  # else it was saved anew meanwhile
                return b"".join(pieces) if head is not None or position.after else None

    async def exists(self, log: LogName) -> bool:
        """Tell whether there is such a log."""
        head, generation = await self._generation(log)
        return head is not None or bool(await self._numbered(log, generation, None))

    async def size(self, log: LogName) -> int | None:
        """Tell the bytes of a log; None when there is none. Of its pieces those that are small texts are read."""
        while True:
            head, generation = await self._generation(log)
            names = await self._numbered(log, generation, None)
            total = 0 if head is None else int(head["size"])
            for start in range(0, len(names), _AT_ONCE):
                found = await self._store.names.get_many(names[start : start + _AT_ONCE])
                total += sum(each.doc["size"] for each in found if each)
            if (await self._generation(log))[1] == generation:  # else it was saved anew meanwhile
                return total if head is not None or names else None

    async def pieces(self, log: LogName | str, *, follow: float | None = None) -> AsyncGenerator[bytes]:
        """Read a log piece by piece.

        Args:
            log: which; the name of a stream alone for all of its sources, line by line: a newline ends what has none
                where another source goes on.
            follow: seconds between two looks for what was appended, until the attempt is done or a later one has begun;
                None to end where the log ends now. A log that is saved anew meanwhile is read from its beginning.
        """
        positions: dict[LogName, _Position] = {}
        lines = Lines()
        while True:
            ended = follow is None or await self._is_over()
            found = False
            logs = [log] if isinstance(log, LogName) else [each for each in await self.names() if each.stream == log]
            for each in logs:
                async with aclosing(self._unread(each, positions.setdefault(each, _Position()))) as unread:
                    async for piece in unread:
                        found = True
                        if whole := piece if each is log else lines.add(each, piece):
                            yield whole
                if ended and (rest := lines.rest(each)):
                    yield rest
            if ended:
                return
            if not found:
                await anyio.sleep(follow or 0)

    async def names(self) -> list[LogName]:
        """List the logs of the attempt."""
        prefix = self._task.logs(self._attempt)
        found = dict[LogName, None]()
        async for name in self._store.names.list(prefix):
            source, _, rest = name.removeprefix(prefix).partition("/")
            found[LogName(unpart(source), unpart(rest.partition("/")[0]))] = None
        return list(found)

    async def append(self, log: LogName, data: bytes, place: Place | None = None) -> Place:
        """Append to a log, durably; returns where to append next.

        Two writers of one log do not lose a piece: theirs follow each other. When the log is saved anew meanwhile the
        piece follows what was saved.
        """
        document, refs = await self._piece(data)
        generation = (await self._generation(log))[1] if place is None else place.generation
        while True:
            if place is None or place.generation != generation:
                place = Place(generation, await self._length(log, generation))
            name = f"{self.name(log)}/{generation}.{place.number:012d}"
            try:
                await self._store.names.put_if_absent(name, document, refs=refs)
            except NameConflict:
                place = place._replace(number=place.number + 1)
                continue
            with anyio.CancelScope(shield=True):  # the piece stands: whoever is cancelled now would write it again
                _, generation = await self._generation(log)
            if generation == place.generation:
                return place._replace(number=place.number + 1)
            await self._store.names.delete_many([name])  # whoever saved the log anew may not have seen it

    async def _length(self, log: LogName, generation: str) -> int:
        names = await self._numbered(log, generation, None)
        return int(names[-1].rpartition(".")[2]) + 1 if names else 0

    async def _unread(self, log: LogName, position: _Position) -> AsyncGenerator[bytes]:
        head, generation = await self._generation(log)
        if generation != position.generation:
            position.generation, position.after = generation, None
            if head is not None:
                async with await self._store.open_read(head["key"]) as reader:
                    async for piece in reader:
                        yield piece
        names = await self._numbered(log, generation, position.after)
        for start in range(0, len(names), _AT_ONCE):
            for document in await self._store.names.get_many(names[start : start + _AT_ONCE]):
                if document is not None:
                    yield await self._content(document.doc)
        position.after = names[-1] if names else position.after

    async def _is_over(self) -> bool:
        later = () if self._attempt is None else range(self._attempt + 1, MAX_ATTEMPTS)
        ends = [self._task.file(DONE, self._attempt), *(self._task.file(ATTEMPT, number) for number in later)]
        return any(one is not None for one in await self._store.names.get_many(ends))

    async def _generation(self, log: LogName) -> tuple[Any, str]:
        (head,) = await self._store.names.get_many([self.name(log)])
        return (None, _FIRST) if head is None else (head.doc, head.doc["generation"])

    async def _numbered(self, log: LogName, generation: str, after: str | None) -> list[str]:
        return [name async for name in self._store.names.list(f"{self.name(log)}/{generation}.", after=after)]

    async def _piece(self, data: bytes) -> tuple[dict[str, Any], Sequence[str]]:
        if len(data) <= _INLINE:
            try:
                return {"size": len(data), "text": data.decode()}, ()
            except UnicodeDecodeError:
                pass
        (blob,) = await self._store.save_blobs([data], pin=False)
        return {"size": len(data), "key": blob.key}, (blob.key,)

    async def _content(self, document: Any) -> bytes:
        if "text" in document:
            return str(document["text"]).encode()
        return await self._store.load(document["key"])


@dataclass(slots=True)
class _Position:
    """How far a log was read."""

    generation: str | None = None
    after: str | None = None


class Place(NamedTuple):
    """Where a writer appends next."""

    generation: str
    number: int


class LogWriter:
    """Appends to one log: `async with ds.log_writer("task", "stdout") as log: await log.write(...)`.

    What is written is collected for at most `flush_bytes` and durable after `flush`, and when the block ends. When
    `flush` fails or is cancelled nothing is dropped: the next one writes it all, perhaps a second time.
    """

    def __init__(self, logs: Logs, log: LogName, *, flush_bytes: int = 64 << 10) -> None:
        self._logs = logs
        self._log = log
        self._most = flush_bytes
        self._held: list[bytes] = []
        self._size = 0
        self._place: Place | None = None
        self._flushing = anyio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, traceback: object) -> None:
        with anyio.CancelScope(shield=kind is not None):
            await self.flush()

    async def write(self, data: bytes | str) -> None:
        """Add to the log; text as UTF-8."""
        self._held.append(data.encode() if isinstance(data, str) else bytes(data))
        self._size += len(self._held[-1])
        if self._size >= self._most:
            await self.flush()

    async def flush(self) -> None:
        """Make durable what was written."""
        async with self._flushing:
            count, data = len(self._held), b"".join(self._held)
            if count:
                self._place = await self._logs.append(self._log, data, self._place)
            del self._held[:count]
            self._size -= len(data)

    async def copy(self, path: str | os.PathLike[str], until: anyio.Event, *, interval: float = 0.2) -> None:
        """Append what another process writes to a file, until the event is set and the end is reached.

        On asyncio the file is read through aiofiles, on other loops through anyio.
        """
        async with _opened(path) as file:
            while True:
                last = until.is_set()
                while data := await file.read(self._most):
                    await self.write(data)
                await self.flush()
                if last:
                    return
                with anyio.move_on_after(interval):
                    await until.wait()


def log_source(data: object, what: str) -> BlobSource:
    """Take what `save_logs` takes: bytes-like, text (as UTF-8), a `Path`, a BytesIO or a stream from where it stands.

    Raises:
        InvalidInput: it is something else; also a TypeError.
    """
    if isinstance(data, str):
        return data.encode()
    streams = ("read", "__next__", "__anext__")
    if isinstance(data, (bytes, bytearray, memoryview, Path)) or any(hasattr(data, name) for name in streams):
        return data  # type: ignore[return-value] # what has one of these names is a stream
    message = f"{what} is of type {type(data).__qualname__}, expected bytes, text, BytesIO, Path or a stream"
    raise InvalidInput(message, kind="item-type")


def _opened(path: str | os.PathLike[str]) -> Any:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _AnyioFile(path)
    return aiofiles.open(path, "rb")


class _AnyioFile:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path

    async def __aenter__(self) -> Any:
        self._file = await anyio.open_file(self._path, "rb")
        return self._file

    async def __aexit__(self, *error: object) -> None:
        await self._file.aclose()


def _head(name: str, blob: SavedBlob, generation: str) -> Document:
    return Document(name, {"generation": generation, "size": blob.size, "key": blob.key}, (blob.key,))
