"""What a path of Metaflow's storage means, and under which name it stands."""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from packhouse.tasks.layout import TaskId, part
from packhouse.tasks.logs import LogName

__all__ = ["BlobFile", "LogFile", "OtherFile", "TaskFile", "other_prefix", "place_of"]

_OTHERS = "metaflow/files"
_LOG = re.compile(r"(\d)\.([a-z]+)_(.+)\.log\Z")
_TASK_PARTS = 5
_BLOB_PARTS = 4


class BlobFile(NamedTuple):
    """A blob of the content-addressed store."""

    key: str


class LogFile(NamedTuple):
    """A log of an attempt."""

    task: TaskId
    attempt: int
    log: LogName


class TaskFile(NamedTuple):
    """State, record or metadata of a task: JSON, in a document."""

    task: TaskId
    file: str

    @property
    def name(self) -> str:
        """The document's name."""
        return self.task.file(self.file, None)

    @property
    def record_of(self) -> int | None:
        """The attempt whose record it is; None for everything else."""
        attempt, _, rest = self.file.partition(".")
        return int(attempt) if rest == "data.json" and attempt.isascii() and attempt.isdigit() else None


class OtherFile(NamedTuple):
    """Anything else, cards and included files for instance: a document that refers to a blob."""

    name: str


Place: TypeAlias = BlobFile | LogFile | TaskFile | OtherFile


def place_of(path: str) -> Place:
    """Tell what a path below a datastore's root means."""
    parts = path.split("/")
    if "." in parts[0]:  # no flow's name: cards and packages, which have folders of their own
        return OtherFile(other_prefix(path))
    if len(parts) == _BLOB_PARTS and parts[1] == "data":
        return BlobFile(parts[3])
    if len(parts) == _TASK_PARTS and all(parts):
        task = TaskId(*parts[:4])
        log = _LOG.match(parts[4])
        if log is not None:
            return LogFile(task, int(log[1]), LogName(log[2], log[3]))
        return TaskFile(task, parts[4])
    return OtherFile(other_prefix(path))


def other_prefix(path: str) -> str:
    """Return the name of another file, or what the names of those in a folder begin with, but for a slash."""
    return "/".join((_OTHERS, *map(part, path.strip("/").split("/"))))
