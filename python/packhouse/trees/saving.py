"""Saving a folder: its files first, then the manifest that makes them a tree."""

from __future__ import annotations

import os
import stat
from collections import deque
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, cast

from anyio.lowlevel import checkpoint

from packhouse.blobs.progress import Tally
from packhouse.blobs.saving import Saving, save_all
from packhouse.errors import InvalidInput, StorageError
from packhouse.files import PathSource
from packhouse.trees.manifest import HEADER, Entry, encode_entry

if TYPE_CHECKING:
    from packhouse.blobs.core import Core
    from packhouse.blobs.records import SavedBlob
    from packhouse.blobs.sources import BlobSource

__all__ = ["COMMIT_EVERY", "save_tree", "walk"]

COMMIT_EVERY = 1 << 30
_WALKED_AT_ONCE = 256
# Of files, folders and links: so many at most wait for the commit after which their lines are written.
_HELD = 32_768


async def save_tree(core: Core, path: str | os.PathLike[str], commit_every: int, tally: Tally) -> SavedBlob:
    """Save what is in a folder; the tree is there once its manifest is committed, which is last.

    Memory is bounded by what is directly in one folder, whose names are sorted, and in those above it.
    """
    root = os.fspath(path)
    if not isinstance(root, str):
        raise InvalidInput(f"save_tree: a folder is a str or a Path, not {path!r}", kind="item-type")
    lines = _Lines(core, root, commit_every, tally)
    try:
        (saved,) = await save_all(core, [lines], pin=True, check=False, tally=Tally(None))
    finally:
        await lines.aclose()
    return saved


class _Lines(AsyncIterator[bytes]):
    """The manifest's lines; reading them saves the files that they name."""

    def __init__(self, core: Core, root: str, commit_every: int, tally: Tally) -> None:
        self._core = core
        self._root = root
        self._commit_every = commit_every
        self._tally = tally
        self._walk = walk(root)
        self._entries: deque[Entry] = deque()
        self._saving: Saving | None = None
        self._begun = False
        self._walked = False

    async def __anext__(self) -> bytes:
        lines: list[bytes] = [] if self._begun else [HEADER]
        self._begun = True
        while not lines:
            if self._saving is None:
                if self._walked:
                    raise StopAsyncIteration
                self._saving = await self._save_more().__aenter__()
            saved = await self._saving.next_many()
            for blob in saved:
                await self._write_to_next_file(lines)
                entry = replace(self._entries.popleft(), blob=blob.key, size=blob.size)
                lines.append(encode_entry(entry))
            if not saved:
                await self.aclose()
                await self._write_to_next_file(lines)
        return b"".join(lines)

    def _save_more(self) -> Saving:
        files = cast("AsyncIterator[BlobSource]", self._files())
        return Saving(self._core, files, commit_every=self._commit_every, pin=True, check=False, tally=self._tally)

    async def aclose(self) -> None:
        saving, self._saving = self._saving, None
        if saving is not None:
            await saving.__aexit__(None, None, None)

    async def _write_to_next_file(self, lines: list[bytes]) -> None:
        while self._entries and self._entries[0].kind != "file":
            lines.append(encode_entry(self._entries.popleft()))
            if len(lines) % _WALKED_AT_ONCE == 0:  # there may be thousands
                await checkpoint()

    async def _files(self) -> AsyncIterator[PathSource]:
        """Give the next files; ends where the folder does, or when no more entries are to be held."""
        for _ in range(0, _HELD, _WALKED_AT_ONCE):
            entries = await self._core.jobs.call(lambda: list(islice(self._walk, _WALKED_AT_ONCE)))
            self._walked = not entries
            if self._walked:
                return
            for entry in entries:
                self._entries.append(entry)
                if entry.kind == "file":
                    path = "/".join((self._root, *entry.parts))
                    yield PathSource(path, repr(path), follow=False, size=entry.size)


def walk(root: str) -> Iterator[Entry]:
    """Tell what is in a folder, folders before their content, however deep. Blocks.

    Raises:
        StorageError: something cannot be read.
        InvalidInput: something is neither file, folder nor link.
    """
    listings = [_listed(root)]
    above: list[str] = []
    while listings:
        one = next(listings[-1], None)
        if one is None:
            listings.pop()
            del above[-1:]
            continue
        entry = _entry((*above, one.name), one)
        yield entry
        if entry.kind == "dir":
            listings.append(_listed(one.path))
            above.append(one.name)


def _listed(path: str) -> Iterator[os.DirEntry[str]]:
    try:
        with os.scandir(path) as found:
            return iter(sorted(found, key=lambda one: os.fsencode(one.name)))
    except OSError as error:
        raise _unreadable(path, error) from error


def _entry(parts: tuple[str, ...], one: os.DirEntry[str]) -> Entry:
    try:
        status = one.stat(follow_symlinks=False)
        mode = stat.S_IMODE(status.st_mode)
        if stat.S_ISLNK(status.st_mode):
            return Entry(parts, "link", target=os.readlink(one.path))  # noqa: PTH115 - a Path would tidy it
    except OSError as error:
        raise _unreadable(one.path, error) from error
    if stat.S_ISREG(status.st_mode):
        return Entry(parts, "file", mode, size=status.st_size)
    if stat.S_ISDIR(status.st_mode):
        return Entry(parts, "dir", mode)
    raise InvalidInput(f"save_tree: {one.path!r} is neither file, folder nor link", kind="tree-item")


def _unreadable(path: str, error: OSError) -> StorageError:
    kind = "source-missing" if isinstance(error, FileNotFoundError) else "source-unreadable"
    message = f"save_tree: cannot read {error.filename or path!r}: {error.strerror}"
    return StorageError(message, kind=kind, errno=error.errno)
