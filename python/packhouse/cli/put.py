"""`packhouse put`: save files, folders and standard input."""

from __future__ import annotations

import fcntl
import itertools
import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json, Store
from packhouse.cli.output import bytes_text, count_text, emit_json, emit_line, note
from packhouse.cli.run import run, usage
from packhouse.cli.target import Kind, document_for
from packhouse.files import PathSource, may_wait

if TYPE_CHECKING:
    import packhouse

__all__ = ["put"]

_READ = 1 << 20


def put(
    sources: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files and folders; - is standard input.", show_default=False)
    ],
    store: Store,
    name: Annotated[str | None, typer.Option("--name", "-n", help="Keep what is saved under this name.")] = None,
    commit_every: Annotated[
        int,
        typer.Option(
            metavar="MIB",
            min=1,
            help="Commit after so much, between files: what an interruption loses at most, but for one file.",
        ),
    ] = 256,
    as_json: Json = False,
) -> None:
    """Save files, folders and standard input; print `KEY  PATH` for each as soon as it is durable.

    The lines of files are those of b3sum: a key is the BLAKE3 of the content. A folder's key is that of its manifest,
    and its line ends in a slash. After an interruption the same command goes on where it stopped, because what is
    stored already is only hashed.
    """
    report = _Report(as_json=as_json)
    run(lambda: _put(store, sources, name, commit_every << 20, report), as_json=as_json)


@dataclass(slots=True)
class _Report:
    """Says what was saved, and keeps the sums for the last line."""

    as_json: bool
    items: int = 0
    size: int = 0
    stored: int = 0
    existed: int = 0
    last: tuple[Kind, packhouse.SavedBlob] | None = None

    def saved(self, path: str, kind: Kind, blob: packhouse.SavedBlob) -> None:
        self.items += 1
        self.size += blob.size
        self.stored += blob.stored_size
        self.existed += blob.existed
        self.last = kind, blob
        if self.as_json:
            emit_json(
                {
                    "path": path,
                    "kind": kind,
                    "key": blob.key,
                    "size": blob.size,
                    "stored_size": blob.stored_size,
                    "existed": blob.existed,
                }
            )
        else:
            emit_line(f"{blob.key}  {path}")

    def close(self) -> None:
        known = f", {self.existed:,} stored before" if self.existed else ""
        note(f"{count_text(self.items, 'item')}, {bytes_text(self.size)}, {bytes_text(self.stored)} added{known}")


async def _put(url: str, sources: list[str], name: str | None, commit_every: int, report: _Report) -> None:
    import packhouse
    from packhouse.names.documents import check_name

    if name is not None:
        check_name(name)
        if len(sources) != 1:
            raise usage(f"put: --name {name!r} is for one file or folder, not {len(sources)}")
    for source in sources:
        if source != "-" and not Path(source).exists():
            raise usage(f"put: {source!r} is neither file nor folder")
    async with packhouse.open(url, create=False) as store:
        for what, group in itertools.groupby(sources, _what):
            if what == "file":
                await _put_files(store, list(group), commit_every, report)
                continue
            for source in group:
                if what == "folder":
                    report.saved(source.rstrip("/") + "/", "tree", await _put_folder(store, source, commit_every))
                else:
                    report.saved(source, "blob", await _put_input(store))
        if name is not None and report.last is not None:
            kind, saved = report.last
            await store.names.put(name, document_for(kind, saved.key, saved.size), refs=(saved.key,))
    report.close()


def _what(source: str) -> str:
    if source == "-":
        return "input"
    return "folder" if Path(source).is_dir() else "file"


async def _put_files(store: packhouse.BlobStore, files: list[str], commit_every: int, report: _Report) -> None:
    """Save files that stand side by side on the command line, each reported when it is durable."""
    sizes = [Path(file).stat().st_size for file in files]
    sources = (PathSource(file, "put", size=size) for file, size in zip(files, sizes, strict=True))
    with Meter(count_text(len(files), "file"), sum(sizes)) as meter:
        async with store.saving(sources, commit_every=commit_every, progress=meter.follow) as results:
            for file in files:
                report.saved(file, "blob", await anext(results))


async def _put_folder(store: packhouse.BlobStore, folder: str, commit_every: int) -> packhouse.SavedBlob:
    """Save a folder as a tree."""
    with Meter(folder) as meter:
        if meter.watched:
            meter.reach(0, await _size_of(folder))
        return await store.save_tree(folder, commit_every=commit_every, progress=meter.follow)


async def _size_of(folder: str) -> int:
    """Add up a folder's files, in a thread: on the loop Ctrl-C would not be seen before the last of them."""
    from anyio import to_thread

    from packhouse.trees import walk

    given_up = False

    def add_up() -> int:
        total = 0
        for entry in walk(folder):
            if given_up:
                break
            total += entry.size
        return total

    try:
        return await to_thread.run_sync(add_up, abandon_on_cancel=True)
    finally:
        given_up = True


async def _put_input(store: packhouse.BlobStore) -> packhouse.SavedBlob:
    """Save standard input as one blob."""
    if sys.stdin is None:
        raise usage("put: - is standard input, which is closed")
    file = sys.stdin.buffer
    with Meter("standard input") as meter:
        source = _arriving(file.fileno()) if may_wait(file.fileno()) else file
        (saved,) = await store.save_blobs([source], progress=meter.follow)
    return saved


async def _arriving(fd: int) -> AsyncIterator[bytes]:
    """Read to the end as bytes come. The loop waits for them, not a thread, which an interruption could not wake."""
    import anyio

    if sys.platform == "linux" and stat.S_ISFIFO(os.fstat(fd).st_mode):
        with suppress(OSError):  # a pipe of 64 KiB works, too, with a wait for each
            fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _READ)
    while True:
        await anyio.wait_readable(fd)
        try:
            piece = os.read(fd, _READ)
        except BlockingIOError:  # somebody else has taken what was there
            continue
        if not piece:
            return
        yield piece
