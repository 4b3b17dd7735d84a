"""Who uses a blob: the tasks' records in a local datastore of Metaflow, read as they lie there."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterator
from typing import NamedTuple

import orjson

__all__ = ["BlobUser", "all_users", "users_of"]

_RECORD = ".data.json"


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
    for path, place in _records(flow):
        if until is not None and time.monotonic() > until:
            return
        yield from (user for user in _users(path, place, wanted) if user.key in keys)


def all_users(flow: str) -> Iterator[BlobUser]:
    """Go through every artifact that a flow's records name; records that cannot be read are passed over."""
    for path, place in _records(flow):
        yield from _users(path, place, [b""])


def _users(path: str, place: tuple[str, str, str, str], wanted: list[bytes]) -> Iterator[BlobUser]:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - many of them, and nothing of a path is needed
            text = file.read()
        objects = orjson.loads(text).get("objects", {}) if any(key in text for key in wanted) else {}
        found = [(key, name) for name, key in objects.items()]
    except (OSError, ValueError, AttributeError, TypeError):
        return
    run, step, task, attempt = place
    for key, name in found:
        yield BlobUser(key, f"{run}/{step}/{task}", attempt, name)


def _records(flow: str) -> Iterator[tuple[str, tuple[str, str, str, str]]]:
    for run in _folders(flow, newest_first=True):
        if run == "data":
            continue
        for step in _folders(f"{flow}/{run}"):
            for task in _folders(f"{flow}/{run}/{step}"):
                folder = f"{flow}/{run}/{step}/{task}"
                for name in _names(folder):
                    if name.endswith(_RECORD):
                        yield f"{folder}/{name}", (run, step, task, name.removesuffix(_RECORD))


def _folders(path: str, *, newest_first: bool = False) -> list[str]:
    try:
        with os.scandir(path) as entries:
            found = [(entry.stat().st_mtime_ns, entry.name) for entry in entries if entry.is_dir()]
    except OSError:
        return []
    return [name for _, name in sorted(found, reverse=newest_first)]


def _names(path: str) -> list[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries)
    except OSError:
        return []
