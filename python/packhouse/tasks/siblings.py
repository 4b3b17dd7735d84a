"""The tasks of one listing: the record of one is read together with those beside it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from packhouse.errors import PackhouseError
from packhouse.tasks.files import read_records
from packhouse.tasks.record import Record

if TYPE_CHECKING:
    from packhouse.blobs.store import BlobStore
    from packhouse.tasks.finding import Found
    from packhouse.tasks.layout import TaskId
    from packhouse.tasks.task import TaskDataStore

__all__ = ["Siblings"]

_AT_ONCE = 200
_WINDOWS = 8


class Siblings:
    """Attempts that a listing found, done or not, in its order.

    Args:
        store: open.
        found: what was found.
    """

    def __init__(self, store: BlobStore, found: list[Found]) -> None:
        self._store = store
        self._found = found
        self._position = {(task, attempt): at for at, (task, attempt, _) in enumerate(found)}
        self._windows: dict[int, dict[tuple[TaskId, int | None], Record]] = {}
        self._read: set[int] = set()
        self._reading = anyio.Lock()

    def read_ahead(self, datastore: TaskDataStore) -> Record | None:
        """Return, once, a record that was read with another's; None where none was."""
        key = datastore._task, datastore.attempt or 0
        at = self._position[key]
        return self._windows.get(at - at % _AT_ONCE, {}).pop(key, None)

    async def record(self, datastore: TaskDataStore) -> Record:
        """Return the record of one of them; one that is not done has no artifacts.

        Many may ask at once and in any order: each window of the listing is read once, and a record by itself when it
        was asked for before or waited too long, or where one of its window cannot be read.
        """
        at = self._position[datastore._task, datastore.attempt or 0]
        if not self._found[at].is_done:
            return Record()
        record = self.read_ahead(datastore)
        if record is None:
            async with self._reading:
                record = self.read_ahead(datastore) or await self._fetch(at)
        return record

    async def _fetch(self, at: int) -> Record:
        task, attempt, _ = self._found[at]
        start = at - at % _AT_ONCE
        some = self._found[at : at + 1] if start in self._read else self._found[start : start + _AT_ONCE]
        wanted: list[tuple[TaskId, int | None]] = [(each, number) for each, number, done in some if done]
        try:
            records = dict(zip(wanted, await read_records(self._store, wanted), strict=True))
        except PackhouseError:
            if len(wanted) == 1:
                raise
            self._read.add(start)  # one of them cannot be read: from now on each by itself
            (record,) = await read_records(self._store, [(task, attempt)])
            return record
        record = records.pop((task, attempt))
        if start not in self._read:
            self._read.add(start)
            self._windows[start] = records
            if len(self._windows) > _WINDOWS:
                del self._windows[next(iter(self._windows))]
        return record
