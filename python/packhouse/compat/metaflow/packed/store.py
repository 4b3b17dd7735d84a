"""The packhouse store of a datastore, opened once in a process and anew in a forked one."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from packhouse.blobs.records import KeyWithLocator
from packhouse.blobs.store import BlobStore
from packhouse.compat.metaflow.packed.files import Known, Listed, PackedFiles
from packhouse.compat.metaflow.telling import telling
from packhouse.errors import StoreNotFound
from packhouse.sync.portal import Portal
from packhouse.sync.store import BlobStore as SyncBlobStore

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["PackedStore"]


class _Opened(NamedTuple):
    portal: Portal
    blobs: SyncBlobStore
    files: PackedFiles


_opened: dict[tuple[int, str], _Opened] = {}


class PackedStore:
    """A datastore in a packhouse store. Opened by its first use, shared by all objects of a process with one root.

    What its methods raise is a `MetaflowException`, too.

    Args:
        root: what `packhouse.open` takes. A store that is not there is made by the first write and empty until then.
    """

    def __init__(self, root: str) -> None:
        self.root = root

    @telling()
    def save_blobs(self, blobs: Iterable[Buffer], *, pin: bool, len_hint: int = 0) -> list[str]:
        """Save blobs in one durable commit; their keys in input order.

        Args:
            blobs: taken lazily.
            pin: keep them although no record names them.
            len_hint: how many there will be; 0 when unknown.
        """
        opened = self._open()
        saved = opened.blobs.save_blobs(blobs, pin=pin, len_hint=len_hint)
        for blob in saved:
            opened.files.note(blob.key, Known(blob.locator, added=blob.stored_size))
        return [blob.key for blob in saved]

    def load_blobs(self, keys: Sequence[str]) -> Generator[tuple[str, bytes]]:
        """Load blobs, verified, in order and ahead of the consumer; by their locators where a record told them.

        Raises:
            StoreNotFound: there is no store.
            BlobNotFound: no blob has a key.
            CorruptBlob: what is stored does not verify.
        """
        if not keys:
            return
        with telling():
            opened = self._open(create=False)
            known = opened.files.known
            located = (KeyWithLocator(key, known[key].locator if key in known else None) for key in keys)
            loaded = opened.blobs.load_blobs(located)
            try:
                yield from loaded
            finally:
                loaded.close()

    @telling()
    def artifact_of(self, key: str, flow: str) -> str:
        """Tell as which artifact a flow's records name a blob, as far as they tell in a moment; empty without one."""
        opened = self._there()
        return "" if opened is None else opened.portal.call(opened.files.artifact_of, key, flow)

    @telling()
    def save_files(self, files: Sequence[tuple[str, bytes]], *, overwrite: bool) -> None:
        """Save files, durably; no files make no store."""
        if not files:
            return
        opened = self._open()

        async def save() -> None:
            await opened.files.save(files, overwrite=overwrite)

        opened.portal.call(save)

    @telling()
    def load_files(self, paths: Sequence[str]) -> list[bytes | None]:
        """Read files; None for one that is not there."""
        opened = self._there()
        return [None] * len(paths) if opened is None else opened.portal.call(opened.files.load, paths)

    @telling()
    def exist(self, paths: Sequence[str]) -> list[bool]:
        """Tell which files are there."""
        opened = self._there()
        return [False] * len(paths) if opened is None else opened.portal.call(opened.files.exist, paths)

    @telling()
    def size(self, path: str) -> int | None:
        """Tell the bytes of a file; None when it is not there."""
        opened = self._there()
        return None if opened is None else opened.portal.call(opened.files.size, path)

    @telling()
    def list(self, path: str) -> Sequence[Listed]:
        """List a folder; empty when it is not there."""
        opened = self._there()
        return () if opened is None else opened.portal.call(opened.files.list, path)

    def _there(self) -> _Opened | None:
        try:
            return self._open(create=False)
        except StoreNotFound:
            return None

    def _open(self, *, create: bool = True) -> _Opened:
        place = (os.getpid(), self.root)
        opened = _opened.get(place)
        if opened is None:
            store = BlobStore(self.root, create=create)
            portal = Portal(store)
            blobs = SyncBlobStore._over(store, portal)  # noqa: SLF001 - one loop for blobs and files
            opened = _opened[place] = _Opened(portal, blobs, PackedFiles(store))
        return opened
