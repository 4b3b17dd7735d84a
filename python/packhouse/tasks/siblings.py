"""The tasks of one listing: the record of one is read together with those behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packhouse.tasks.files import read_records
from packhouse.tasks.record import Record

if TYPE_CHECKING:
    from packhouse.blobs.store import BlobStore
    from packhouse.tasks.finding import Found
    from packhouse.tasks.layout import TaskId
    from packhouse.tasks.task import TaskDataStore

__all__ = ["Siblings"]

_AT_ONCE = 200


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
        self._ahead: dict[tuple[TaskId, int | None], Record] = {}

    def read_ahead(self, datastore: TaskDataStore) -> Record | None:
        """Return, once, a record that was read with another's; None where none was."""
        return self._ahead.pop((datastore._task, datastore.attempt), None)

    async def record(self, datastore: TaskDataStore) -> Record:
        """Return the record of one of them; one that is not done has no artifacts."""
        task, attempt = datastore._task, datastore.attempt
        record = self.read_ahead(datastore)
        if record is not None:
            return record
        at = self._position[task, attempt or 0]
        if not self._found[at][2]:
            return Record()
        wanted = [(each, number) for each, number, done in self._found[at : at + _AT_ONCE] if done]
        records = await read_records(self._store, wanted)
        self._ahead = dict(zip(wanted, records, strict=True))
        return self._ahead.pop((task, attempt))
