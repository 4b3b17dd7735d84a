"""Metaflow's content-addressed store with packhouse's engine; stock's interface, stock's files."""

from __future__ import annotations

import logging
import os
from itertools import islice
from typing import TYPE_CHECKING, Any

from packhouse.compat.metaflow.elsewhere import META, Elsewhere
from packhouse.compat.metaflow.folder import GzipFolder
from packhouse.compat.metaflow.handing import Handing
from packhouse.compat.metaflow.packing import is_key
from packhouse.compat.metaflow.records import users_of
from packhouse.compat.metaflow.telling import telling
from packhouse.errors import CorruptBlob

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_log = logging.getLogger("packhouse.metaflow")
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

    @telling()
    def save_blobs(
        self, blob_iter: Iterable[Any], raw: bool = False, len_hint: int = 0, is_transfer: bool = False
    ) -> list[Any]:
        """Save blobs; durable on return where the files are written here. Arguments and results are stock's.

        Raises:
            StorageError: a file cannot be written or synced; a `MetaflowException`, too.
        """
        folder = self._folder()
        if folder is None:
            if raw or is_transfer:
                return list(self._stock.save_blobs(blob_iter, raw=raw, len_hint=len_hint, is_transfer=is_transfer))
            keys = self._elsewhere.save(blob_iter, len_hint=len_hint, check=_checks())
            return [self.save_blobs_result(uri=None, key=key) for key in keys]
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
            StorageError: the folder cannot be read; a `MetaflowException`, too.
        """
        with telling():
            yield from self._load_blobs(keys, force_raw=force_raw, is_transfer=is_transfer)

    def _load_blobs(self, keys: Iterable[str], *, force_raw: bool, is_transfer: bool) -> Iterator[tuple[Any, ...]]:
        handing = Handing(self._blob_cache, META if is_transfer else None)
        yield from handing.cached(keys)
        wanted = [key for key in handing.missing if is_key(key)]
        odd = [key for key in handing.missing if not is_key(key)]
        for key in odd:
            _log.debug("key %r is no SHA-1: loaded, but not verified", key)
        folder = self._folder()
        for key, outcome in self._elsewhere.load(wanted) if folder is None else folder.load(wanted):
            if not isinstance(outcome, bytes):
                raise self._unreadable(key, outcome) from outcome
            read = [outcome]
            del outcome  # what was handed out is not held while the next is read
            yield handing.loaded(key, read.pop())
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

    @property
    def _elsewhere(self) -> Elsewhere:
        return Elsewhere(self._storage_impl, self._prefix)

    def _transfer(self, folder: GzipFolder, key: str, blob: bytes, meta: Any) -> Any:
        if is_key(key) and folder.save([blob]) == [key]:
            return self.save_blobs_result(uri=self._uri(key), key=key)
        return self._stock.save_blobs([(key, blob, meta)], is_transfer=True)[0]

    def _unreadable(self, key: str, cause: Exception | None) -> Exception:
        from packhouse.compat.metaflow.unreadable import UnreadableArtifact  # noqa: PLC0415 - only where Metaflow is

        damaged = "is damaged" if isinstance(cause, CorruptBlob) else "cannot be read"
        what = "is missing" if cause is None else f"{damaged} ({cause})"
        return UnreadableArtifact(key, self._uri(key), self._whose(key), what)

    def _whose(self, key: str) -> str:
        """Name the artifacts of that content, as far as the tasks' records tell in a moment."""
        flow = self._storage_impl.dirname(self._prefix)
        if self._folder() is None:
            users = self._elsewhere.users_of(key, _SEARCH_SECONDS)
        else:
            users = users_of({key}, self._storage_impl.full_uri(flow), seconds=_SEARCH_SECONDS)
        names: list[str] = []
        try:
            names += (f"{flow}/{user.task}/{user.artifact}" for user in islice(users, _NAMED))
        except Exception as error:  # noqa: BLE001 - whatever a storage raises, damage is what has to be told
            _log.debug("whose blob %s is cannot be looked up: %r", key, error)
        return ", ".join(names) or f"an artifact of {flow}"


def _checks() -> bool:
    return os.environ.get("METAFLOW_PACKHOUSE_CHECK", "").strip().lower() in {"1", "true", "yes", "on"}


_said: set[str] = set()


def _say_once(kind: str, how: str) -> None:
    if kind not in _said:
        _said.add(kind)
        _log.debug("packhouse keeps the artifacts of %r storage; files are written %s", kind, how)
