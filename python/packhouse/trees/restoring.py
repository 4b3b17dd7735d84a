"""Restoring a folder from a manifest that anybody may have made: nothing leaves the folder, no link is followed."""

from __future__ import annotations

import os
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING

from packhouse._engine import Cancel, Located
from packhouse.blobs.lookup import Lookup
from packhouse.blobs.reader import BlobReader
from packhouse.blobs.records import KeyLike, key_and_locator
from packhouse.errors import BlobNotFound, CorruptBlob, InvalidInput, PackhouseError
from packhouse.files import PIECE, Folder
from packhouse.trees.manifest import HEADER, Entry, check_order, decode_entry

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from typing_extensions import Buffer

    from packhouse.blobs.core import Core
    from packhouse.blobs.progress import Tally

__all__ = ["restore_tree"]

_LINES_AT_ONCE = 256
_LONGEST_LINE = 1 << 20
# Permission bits that a stranger's manifest may set: never set-user-id and its like.
_MODE_BITS = 0o777


async def restore_tree(core: Core, key: KeyLike, path: str | os.PathLike[str], tally: Tally) -> None:
    """Write a saved tree below `path`, in bounded memory; nothing is written before all of its manifest was checked."""
    root = os.fspath(path)
    if not isinstance(root, str):
        raise InvalidInput(f"restore_tree: a folder is a str or a Path, not {path!r}", kind="item-type")
    name, _ = key_and_locator(key)
    located, size = await Lookup(core, key).find()
    cancel = Cancel()
    async with BlobReader(core, located, size) as manifest:
        before: Entry | None = None
        async with aclosing(_lines(manifest, name)) as lines:
            async for some in lines:
                before = await core.jobs.call(partial(_check, some, before, name))
        writer = _Writer(core, cancel)
        try:
            await core.jobs.call(lambda: writer.begin(root))
            async with aclosing(_lines(manifest, name)) as lines:
                async for some in lines:
                    tally.add(len(some), await core.jobs.call(partial(writer.write, some, name), cancel))
            await core.jobs.call(writer.finish, cancel)
        finally:
            writer.close()


def _check(lines: Sequence[bytes], before: Entry | None, key: str) -> Entry | None:
    """Refuse lines that are none of a manifest; returns the last entry, which the next lines are held against."""
    for line in lines:
        entry = decode_entry(line, key)
        if before is not None:
            check_order(before, entry, key)
        before = entry
    return before


async def _lines(manifest: BlobReader, key: str) -> AsyncGenerator[list[bytes]]:
    """Give the manifest's lines without its header, some at a time."""
    await manifest.seek(0)
    if await manifest.read(len(HEADER)) != HEADER:
        raise CorruptBlob(f"the blob {key} is no tree: it does not begin with {HEADER!r}", kind="tree")
    rest = b""
    async for piece in manifest:
        *lines, rest = (rest + piece).split(b"\n")
        for start in range(0, len(lines), _LINES_AT_ONCE):
            yield lines[start : start + _LINES_AT_ONCE]
        if len(rest) > _LONGEST_LINE:
            break
    if rest:
        raise CorruptBlob(f"the blob {key} is no tree: its last line is cut short or too long", kind="tree")


class _Writer:
    """Writes entries in a worker thread. Holds open the folders from the root to where it stands."""

    def __init__(self, core: Core, cancel: Cancel) -> None:
        self._engine = core.engine
        self._cancel = cancel
        self._open: list[tuple[str, Folder, int | None]] = []

    def begin(self, root: str) -> None:
        """Open the root, making it. Whoever is cancelled meanwhile still has what is to be closed."""
        self._open.append(("", Folder.make(root), None))

    def write(self, lines: Sequence[bytes], key: str) -> int:
        """Make all of them, in order; returns the bytes of their files."""
        entries = [decode_entry(line, key) for line in lines]
        files = [(entry.blob, None) for entry in entries if entry.blob is not None]
        located = self._engine.locate(files, self._cancel)
        sizes = located.sizes()
        index = 0
        for entry in entries:
            folder = self._folder_of(entry.parts)
            if entry.blob is not None:
                fill = self._filler(located, index, sizes[index], entry)
                folder.write(entry.parts[-1], entry.mode & _MODE_BITS, fill)
                index += 1
            elif entry.kind == "link":
                folder.link(entry.parts[-1], entry.target)
            else:
                below = folder.folder(entry.parts[-1])
                # One that was there keeps its permissions: they are its owner's, not those of whoever wrote this.
                self._open.append((entry.parts[-1], below, entry.mode & _MODE_BITS if below.made else None))
        return sum(entry.size for entry in entries)

    def finish(self) -> None:
        """Let go of the folders, which are complete: they get their permissions."""
        while self._open:
            self._leave()

    def close(self) -> None:
        """Let go of what is open still, after a failure: folders that are not complete."""
        while self._open:
            self._open.pop()[1].close()

    def _folder_of(self, parts: tuple[str, ...]) -> Folder:
        above = parts[:-1]
        depth = 0
        while depth < min(len(above), len(self._open) - 1) and self._open[depth + 1][0] == above[depth]:
            depth += 1
        while len(self._open) - 1 > depth:
            self._leave()
        for part in above[depth:]:
            self._open.append((part, self._open[-1][1].folder(part), None))
        return self._open[-1][1]

    def _leave(self) -> None:
        _, folder, mode = self._open.pop()
        try:
            if mode is not None:
                folder.set_mode(mode)
        finally:
            folder.close()

    def _filler(
        self, located: Located, index: int, size: int | None, entry: Entry
    ) -> Callable[[Callable[[Buffer], None]], None]:
        if size is None or entry.blob is None:
            name = "/".join(entry.parts)
            error = BlobNotFound(f"restore_tree: no blob has the key of {name!r}, {entry.blob}")
            error.keys = (entry.blob,) if entry.blob else ()
            raise error

        def fill(append: Callable[[Buffer], None]) -> None:
            for start in range(0, size, PIECE):
                if self._cancel.is_cancelled():
                    raise PackhouseError("the operation was cancelled", kind="cancelled")
                append(self._piece(located, index, start, size))

        return fill

    def _piece(self, located: Located, index: int, start: int, size: int) -> bytes:
        if size > PIECE:
            return self._engine.fetch_range(located, index, start, min(start + PIECE, size), self._cancel)
        (data,) = self._engine.fetch(located.room(index, index + 1), self._cancel)
        if isinstance(data, bytes):
            return data
        raise data or CorruptBlob("restore_tree: a blob vanished while it was read")
