"""Who uses a blob: the tasks' records in a local datastore of Metaflow, read as they lie there."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

import orjson

__all__ = ["RECORD", "BlobUser", "records", "users_in", "users_of"]

RECORD = ".data.json"
"""How the files end in which tasks record their artifacts."""

_DEPTH = 3  # run, step and task


class BlobUser(NamedTuple):
    """An artifact that is kept in a blob.

    Attributes:
        key: the blob.
        task: run, step and task, with slashes between.
        attempt: the attempt that recorded it.
        artifact: its name.
    """

    key: str
    task: str
    attempt: str
    artifact: str


def users_of(keys: Collection[str], flow: str, *, seconds: float | None = None) -> Iterator[BlobUser]:
    """Go through the records of a flow's tasks, the newest run first.

    Args:
        keys: the blobs that are asked for.
        flow: the flow's folder in the datastore.
        seconds: how long to look at most; None goes through all of them.

    Yields:
        Every artifact found to be kept in one of the blobs. Records that cannot be read are passed over.
    """
    until = None if seconds is None else time.monotonic() + seconds
    wanted = [key.encode() for key in keys]
    for path in _records(flow):
        if until is not None and time.monotonic() > until:
            return
        text = _text(path) or b""
        if any(key in text for key in wanted):
            yield from (user for user in users_in(text, path) or () if user.key in keys)


def records(flow: str) -> Iterator[tuple[str, list[BlobUser] | None]]:
    """Go through every record of a flow: its path, and the artifacts that it names; None if it cannot be read.

    A folder that cannot be listed comes as a record that cannot be read; what is removed meanwhile is passed over.
    """
    for path in _records(flow):
        text = _text(path)
        if text is not None:
            yield path, users_in(text, path)


def users_in(text: bytes, path: str) -> list[BlobUser] | None:
    """Read the artifacts that a record names; None if it is no record.

    Args:
        text: the file.
        path: where it is, which says run, step, task and attempt.
    """
    try:
        run, step, task, name = path.split("/")[-4:]
        objects = orjson.loads(text).get("objects", {})
        found = [(key, artifact) for artifact, key in objects.items() if isinstance(key, str)]
    except (ValueError, AttributeError):
        return None
    attempt = name.removesuffix(RECORD)
    return [BlobUser(key, f"{run}/{step}/{task}", attempt, artifact) for key, artifact in found]


def _text(path: str) -> bytes | None:
    """Read a record: None for one that was removed meanwhile, no bytes of one that cannot be read."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - many of them, and nothing of a path is needed
            return file.read()
    except FileNotFoundError:
        return None
    except OSError:
        return b""


def _changed(entry: os.DirEntry[str]) -> int:
    """Tell when an entry was changed last; of one that was removed meanwhile, long ago."""
    try:
        return entry.stat().st_mtime_ns
    except OSError:
        return 0


def _records(folder: str, depth: int = _DEPTH) -> Iterator[str]:
    """Go through the paths of records, the newest run first; of a folder that cannot be listed its own path."""
    try:
        with os.scandir(folder) as entries:
            kept = (entry for entry in entries if not depth or entry.is_dir())
            found = [(_changed(entry) if depth == _DEPTH else 0, entry.name) for entry in kept]
    except FileNotFoundError:  # removed meanwhile
        return
    except OSError:
        yield folder
        return
    for _, name in sorted(found, reverse=depth == _DEPTH):
        if depth and (depth < _DEPTH or name != "data"):
            yield from _records(f"{folder}/{name}", depth - 1)
        elif not depth and name.endswith(RECORD):
            yield f"{folder}/{name}"
