"""Metaflow's content-addressed store with packhouse's engine; stock's interface, stock's files."""

from __future__ import annotations

import logging
import os
from io import BytesIO
from itertools import islice
from typing import TYPE_CHECKING, Any

from packhouse.compat.metaflow.folder import GzipFolder
from packhouse.compat.metaflow.handing import Handing
from packhouse.compat.metaflow.packing import is_key, pack_missing, unpack
from packhouse.compat.metaflow.records import users_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

_log = logging.getLogger("packhouse.metaflow")
_META = {"cas_raw": False, "cas_version": 1}
_FILES_BYTES = 32 << 20
_SEARCH_SECONDS = 2.0
_NAMED = 3


class VerifiedBlobs:
    """Blobs as gzip files under their SHA-1: durable, verified, on all cores. Stock reads all of it.

    To be mixed in before stock's `ContentAddressedStore`, which does whatever this one does not.
    """

    TYPE: str
    _prefix: str
    _storage_impl: Any
    _blob_cache: Any
    save_blobs_result: Any

    def save_blobs(
        self, blob_iter: Iterable[Any], raw: bool = False, len_hint: int = 0, is_transfer: bool = False
    ) -> list[Any]:
        """Save blobs; durable on return where the files are written here. Arguments and results are stock's.

        Raises:
            StorageError: a file cannot be written or synced.
        """
        folder = self._folder()
        if folder is None:
            if raw or is_transfer:
                return list(self._stock.save_blobs(blob_iter, raw=raw, len_hint=len_hint, is_transfer=is_transfer))
            return self._save_elsewhere(blob_iter, len_hint)
        if is_transfer:
            return [self._transfer(folder, *blob) for blob in blob_iter]
        keys = folder.save(blob_iter, raw=raw, check=_checks())
        return [self.save_blobs_result(uri=self._uri(key) if raw else None, key=key) for key in keys]

    def load_blobs(
        self, keys: Iterable[str], force_raw: bool = False, is_transfer: bool = False
    ) -> Iterator[tuple[Any, ...]]:
        """Load blobs, verified by their keys; whether a file is gzip or raw is seen, not believed. Otherwise as stock.

        Raises:
            UnreadableArtifact: a blob is missing or damaged.
        """
        handing = Handing(self._blob_cache, _META if is_transfer else None)
        yield from handing.cached(keys)
        wanted = [key for key in handing.missing if is_key(key)]
        odd = [key for key in handing.missing if not is_key(key)]
        for key in odd:
            _log.debug("key %r is no SHA-1: loaded, but not verified", key)
        folder = self._folder()
        for key, outcome in self._load_elsewhere(wanted) if folder is None else folder.load(wanted):
            if not isinstance(outcome, bytes):
                raise self._unreadable(key, outcome) from outcome
            yield handing.loaded(key, outcome)
        if odd:
            yield from self._stock.load_blobs(odd, force_raw=force_raw, is_transfer=is_transfer)

    @property
    def _stock(self) -> Any:
        return super()

    def _path(self, key: str) -> str:
        return str(self._storage_impl.path_join(self._prefix, key[:2], key))

    def _uri(self, key: str) -> str:
        return str(self._storage_impl.full_uri(self._path(key)))

    def _folder(self) -> GzipFolder | None:
        """The folder on local storage; None where a storage class of Metaflow's has to carry the files."""
        from metaflow.plugins.datastores.local_storage import LocalStorage  # noqa: PLC0415 - a circle otherwise

        kind = type(self._storage_impl)
        as_stock = (
            issubclass(kind, LocalStorage)
            and kind.save_bytes is LocalStorage.save_bytes
            and kind.load_bytes is LocalStorage.load_bytes
        )
        _say_once(self.TYPE, "itself" if as_stock else "through Metaflow")
        return GzipFolder(self._storage_impl.full_uri(self._prefix)) if as_stock else None

    def _transfer(self, folder: GzipFolder, key: str, blob: bytes, meta: Any) -> Any:
        if is_key(key) and folder.save([blob], raw=True) == [key]:
            return self.save_blobs_result(uri=self._uri(key), key=key)
        return self._stock.save_blobs([(key, blob, meta)], is_transfer=True)[0]

    def _save_elsewhere(self, blobs: Iterable[Any], len_hint: int) -> list[Any]:
        results: list[Any] = []

        def exist(keys: Sequence[str]) -> Sequence[bool]:
            return list(self._storage_impl.is_file([self._path(key) for key in keys]))

        def files() -> Iterator[tuple[str, tuple[BytesIO, dict[str, Any]]]]:
            for packed in pack_missing(blobs, exist):
                results.append(self.save_blobs_result(uri=None, key=packed.key))
                if packed.file is not None:
                    yield self._path(packed.key), (BytesIO(packed.file), dict(_META))

        self._storage_impl.save_bytes(files(), overwrite=True, len_hint=len_hint)
        return results

    def _load_elsewhere(self, keys: Sequence[str]) -> Iterator[tuple[str, Any]]:
        if not keys:
            return
        with self._storage_impl.load_bytes([self._path(key) for key in keys]) as loaded:
            files: list[tuple[str, bytes]] = []
            size = 0
            for path, local, _ in loaded:
                key = self._storage_impl.path_split(path)[-1]
                if local is None:
                    yield key, None
                    continue
                with open(local, "rb") as file:  # noqa: PTH123 - as Metaflow gives it
                    files.append((key, file.read()))
                size += len(files[-1][1])
                if size >= _FILES_BYTES:
                    yield from unpack(files)
                    files, size = [], 0
            yield from unpack(files)

    def _unreadable(self, key: str, cause: Exception | None) -> Exception:
        from packhouse.compat.metaflow.unreadable import UnreadableArtifact  # noqa: PLC0415 - only where Metaflow is

        what = "is missing" if cause is None else f"is damaged ({cause})"
        return UnreadableArtifact(key, self._uri(key), self._whose(key), what)

    def _whose(self, key: str) -> str:
        """Name the artifacts of that content, as far as the tasks' records tell in a moment."""
        flow = self._storage_impl.dirname(self._prefix)
        folder = self._storage_impl.full_uri(flow)
        named = islice(users_of({key}, folder, seconds=_SEARCH_SECONDS), _NAMED) if self._folder() else ()
        return ", ".join(f"{flow}/{user.task}/{user.artifact}" for user in named) or f"an artifact of {flow}"


def _checks() -> bool:
    return os.environ.get("METAFLOW_PACKHOUSE_CHECK", "").strip().lower() in {"1", "true", "yes", "on"}


_said: set[str] = set()


def _say_once(kind: str, how: str) -> None:
    if kind not in _said:
        _said.add(kind)
        _log.debug("packhouse keeps the artifacts of %r storage; files are written %s", kind, how)
