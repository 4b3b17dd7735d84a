"""Storage that is no folder: the same gzip files, carried by a storage class of Metaflow's."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import TYPE_CHECKING, Any

from packhouse.compat.metaflow.folder import Read
from packhouse.compat.metaflow.packing import pack_missing, unpack
from packhouse.compat.metaflow.records import RECORD, BlobUser, users_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from typing_extensions import Buffer

__all__ = ["META", "Elsewhere"]

META = {"cas_raw": False, "cas_version": 1}
_FILES_BYTES = 32 << 20
_SHORTEST = 20
_THREADS = 8
_TASKS_AT_ONCE = 64

_damaged: set[str] = set()
"""The files that loads of this process found damaged, until they are written again."""


class Elsewhere:
    """Blobs in one prefix of a storage.

    Args:
        storage: one of Metaflow's `DataStoreStorage`, which carries the bytes.
        prefix: where the blobs are, `<flow>/data`.
    """

    def __init__(self, storage: Any, prefix: str) -> None:
        self._storage = storage
        self._prefix = prefix

    def save(self, blobs: Iterable[Buffer], *, len_hint: int, check: bool) -> list[str]:
        """Save blobs; as durable as the storage is.

        Files that exist are left alone unless they are empty or shorter than any gzip file, a load of this process
        found them damaged, or `check` does.

        Args:
            blobs: bytes-like objects, taken lazily.
            len_hint: how many there will be; 0 when unknown.
            check: read existing files as a whole.

        Returns:
            The keys in the order of the blobs.
        """
        saved: list[str] = []
        written: list[str] = []

        def keep(lengths: Mapping[str, int]) -> set[str]:
            return self._sound(lengths, check=check)

        def files() -> Iterator[tuple[str, tuple[BytesIO, dict[str, Any]]]]:
            for packed in pack_missing(blobs, keep):
                saved.append(packed.key)
                if packed.file is not None:
                    path = self._path(packed.key)
                    written.append(self._uri(path))
                    yield path, (BytesIO(packed.file), dict(META))

        self._storage.save_bytes(files(), overwrite=True, len_hint=len_hint)
        _damaged.difference_update(written)
        return saved

    def load(self, keys: Iterable[str]) -> Iterator[Read]:
        """Load blobs, verified, in the order in which the storage hands them out; damage is noted.

        Args:
            keys: 40 lower-case hex digits each.

        Yields:
            Each key's bytes; None where there is no file; `CorruptBlob` where its content has another SHA-1.
        """
        paths = [self._path(key) for key in keys]
        files: list[tuple[str, bytes]] = []
        size = 0
        if not paths:
            return
        with self._storage.load_bytes(paths) as loaded:
            for path, local, _ in loaded:
                key = self._name(path)
                if local is None:
                    yield Read(key, None)
                    continue
                with open(local, "rb") as file:  # noqa: PTH123 - as Metaflow gives it
                    files.append((key, file.read()))
                size += len(files[-1][1])
                if size >= _FILES_BYTES:
                    yield from self._unpacked(files)
                    files, size = [], 0
            yield from self._unpacked(files)

    def users_of(self, key: str, seconds: float) -> Iterator[BlobUser]:
        """Go through the records of the flow's newest run for the artifacts that are kept in a blob.

        Args:
            key: the blob.
            seconds: when to begin with no further tasks; each question to such a storage may take a second.
        """
        flow = self._storage.dirname(self._prefix)
        runs = [path for path in self._listed([flow], files=False) if self._name(path) != "data"]
        newest = sorted(runs, key=lambda path: (len(path), path))[-1:]
        tasks = self._listed(self._listed(newest, files=False), files=False)
        until = time.monotonic() + seconds
        for start in range(0, len(tasks), _TASKS_AT_ONCE):
            if start and time.monotonic() > until:
                return
            names = self._listed(tasks[start : start + _TASKS_AT_ONCE], files=True)
            with self._storage.load_bytes([path for path in names if path.endswith(RECORD)]) as loaded:
                for path, local, _ in loaded:
                    if local is not None:
                        with open(local, "rb") as file:  # noqa: PTH123 - as Metaflow gives it
                            text = file.read()
                        yield from (user for user in users_in(text, path) or () if user.key == key)

    def _sound(self, lengths: Mapping[str, int], *, check: bool) -> set[str]:
        """Tell which files are there and, as far as that shows, right."""
        paths = [self._path(key) for key in lengths]
        first = [self._storage.size_file(path) for path in paths[:1]]  # alone: it makes the client that the others use
        with ThreadPoolExecutor(_THREADS, thread_name_prefix="packhouse") as threads:
            sizes = dict(zip(lengths, [*first, *threads.map(self._storage.size_file, paths[1:])], strict=True))
        sound = {key for key, size in sizes.items() if size is not None and (size >= _SHORTEST or size == lengths[key])}
        sound = {key for key in sound if sizes[key] and self._uri(self._path(key)) not in _damaged}
        return {key for key, outcome in self.load(sound) if isinstance(outcome, bytes)} if check else sound

    def _unpacked(self, files: list[tuple[str, bytes]]) -> Iterator[Read]:
        for read in unpack(files):
            if isinstance(read.outcome, Exception):
                _damaged.add(self._uri(self._path(read.key)))
            yield read

    def _listed(self, folders: list[str], *, files: bool) -> list[str]:
        found = self._storage.list_content(folders) if folders else ()
        return [entry.path.rstrip("/") for entry in found if bool(entry.is_file) is files]

    def _name(self, path: str) -> str:
        return str(self._storage.path_split(path)[-1])

    def _path(self, key: str) -> str:
        return str(self._storage.path_join(self._prefix, key[:2], key))

    def _uri(self, path: str) -> str:
        return str(self._storage.full_uri(path))
