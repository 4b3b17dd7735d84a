"""Check every blob of a local Metaflow datastore, whoever wrote it, and say which runs damage hurts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

from packhouse._engine import Cancel, GzipFiles
from packhouse.compat.metaflow.packing import is_key
from packhouse.compat.metaflow.records import BlobUser, records
from packhouse.errors import StoreNotFound

__all__ = ["DatastoreReport", "HurtBlob", "verify_datastore"]

_AT_ONCE = 64


class HurtBlob(NamedTuple):
    """A blob that cannot be read.

    Attributes:
        flow: the flow it belongs to.
        key: the SHA-1 of its content.
        path: its file.
        what: "damaged", "missing", or "not described": the drop-in reads it, stock misreads it for what the `_meta`
            beside it says, or because there is none.
        users: the artifacts that are kept in it; none where no record names it.
    """

    flow: str
    key: str
    path: str
    what: str
    users: tuple[BlobUser, ...]


@dataclass
class DatastoreReport:
    """What a check found.

    Attributes:
        flows: flows with a data folder or a task's record.
        blobs: blobs that were checked against their SHA-1.
        bytes: bytes of their files.
        unverifiable: files under other names, which say nothing about their content.
        hurt: what cannot be read.
        unreadable: records of tasks, and folders of them, that cannot be read: which artifacts they name is not known.
    """

    flows: int = 0
    blobs: int = 0
    bytes: int = 0
    unverifiable: int = 0
    hurt: list[HurtBlob] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def verify_datastore(root: str, progress: Callable[[int], object] | None = None) -> DatastoreReport:
    """Read every blob of a local datastore and compare its content with its key; note damage, so that saving heals it.

    Blobs that a task's record names and that are not there are reported as well, and records that cannot be read.

    Args:
        root: the folder `.metaflow`, or the one it lies in.
        progress: called with the bytes of files read so far.

    Raises:
        StoreNotFound: there is no datastore.
        StorageError: a file cannot be read.
    """
    inner = os.path.join(root, ".metaflow")  # noqa: PTH118 - paths are text here, as in Metaflow
    root = inner if os.path.isdir(inner) else root  # noqa: PTH112 - as above
    if not os.path.isdir(root):  # noqa: PTH112 - as above
        raise StoreNotFound(f"verify {root!r}: there is no such folder", kind="no-store")
    report = DatastoreReport()
    for flow in sorted(_folders(root)):
        if _keeps_artifacts(f"{root}/{flow}"):
            _verify_flow(report, root, flow, progress)
    if not report.flows:
        raise StoreNotFound(f"verify {root!r}: no flow has kept artifacts here", kind="not-a-store")
    return report


def _keeps_artifacts(flow: str) -> bool:
    if os.path.isdir(f"{flow}/data"):  # noqa: PTH112 - as above
        return True
    # Whatever became of the data: a flow whose tasks have records. Names with a dot are no flows: Metaflow's own.
    return "." not in os.path.basename(flow) and next(records(flow), None) is not None  # noqa: PTH119 - as above


def _verify_flow(report: DatastoreReport, root: str, flow: str, progress: Callable[[int], object] | None) -> None:
    report.flows += 1
    folder = f"{root}/{flow}/data"
    wrong: dict[str, str] = {}
    known = _verify_files(report, folder, wrong, progress)
    users: dict[str, list[BlobUser]] = {}
    for path, named in records(f"{root}/{flow}"):
        if named is None:
            report.unreadable.append(path)
        for user in named or ():
            there = user.key in known or os.path.exists(_path(folder, user.key))  # noqa: PTH110 - as above
            if is_key(user.key) and not there:
                wrong[user.key] = "missing"
            if user.key in wrong:
                users.setdefault(user.key, []).append(user)
    for key, what in sorted(wrong.items()):
        report.hurt.append(HurtBlob(flow, key, _path(folder, key), what, tuple(users.get(key, ()))))


def _verify_files(
    report: DatastoreReport, folder: str, wrong: dict[str, str], progress: Callable[[int], object] | None
) -> set[str]:
    """Check the files of a flow's blobs, note what is wrong with which, and return the keys of all."""
    known: set[str] = set()
    files = GzipFiles.open(folder, create=False)
    if files is None:
        return known
    cancel = Cancel()
    with ThreadPoolExecutor(1, thread_name_prefix="packhouse") as beside:  # so that Ctrl-C is heeded while one is read
        try:
            for some in _files(folder, report):
                keys = [key for key, _ in some]
                known.update(keys)
                found = beside.submit(_inspect, files, keys, cancel).result()
                wrong.update((key, what) for key, what in zip(keys, found, strict=True) if what not in (None, "sound"))
                report.blobs += len(some)
                report.bytes += sum(size for _, size in some)
                if progress is not None:
                    progress(report.bytes)
        finally:
            cancel.cancel()
    return known


def _inspect(files: GzipFiles, keys: list[str], cancel: Cancel) -> list[str | None]:
    return files.locate(keys, cancel).inspect(cancel)


def _files(folder: str, report: DatastoreReport) -> Iterator[list[tuple[str, int]]]:
    """Go through the blobs' files, some at a time, with their sizes."""
    some: list[tuple[str, int]] = []
    for prefix in sorted(name for name in _folders(folder) if len(name) == 2):
        with os.scandir(f"{folder}/{prefix}") as entries:
            for entry in entries:
                if not is_key(entry.name) or not entry.name.startswith(prefix):
                    # Leftovers of stock's dead writers are not counted; descriptions are read with their files.
                    report.unverifiable += len(entry.name) > 11 and not entry.name.endswith("_meta")
                    continue
                try:
                    some.append((entry.name, entry.stat().st_size))
                except FileNotFoundError:  # removed meanwhile
                    continue
                if len(some) == _AT_ONCE:
                    yield some
                    some = []
    if some:
        yield some


def _path(folder: str, key: str) -> str:
    return f"{folder}/{key[:2]}/{key}"


def _folders(path: str) -> list[str]:
    with os.scandir(path) as entries:
        return [entry.name for entry in entries if entry.is_dir()]
