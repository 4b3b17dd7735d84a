"""`packhouse get`: bring a blob or a folder back as files."""

from __future__ import annotations

import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json, Store, Target
from packhouse.cli.output import emit_json, emit_line
from packhouse.cli.pieces import pieces_of
from packhouse.cli.run import run, usage
from packhouse.cli.target import Found, find

if TYPE_CHECKING:
    import packhouse

__all__ = ["get"]

_NO_LINKS = {errno.EPERM, errno.ENOSYS, errno.ENOTSUP}  # of file systems that have no hard links


def get(
    target: Target,
    store: Store,
    destination: Annotated[
        Path | None,
        typer.Argument(metavar="[PATH]", help="Where to; by default the name's last part, or the key, in this folder."),
    ] = None,
    tree: Annotated[bool, typer.Option("--tree", help="The key is a folder's; a name knows that by itself.")] = False,
    force: Annotated[bool, typer.Option("--force", "-f", help="Replace a file that is there, never a folder.")] = False,
    as_json: Json = False,
) -> None:
    """Write a blob to a file, or a folder's files below a new folder, verified.

    A file appears under its name when it is whole and durable, not before. A folder is restored into a folder that is
    missing or empty.
    """
    run(lambda: _get(store, target, destination, tree=tree, force=force, as_json=as_json), as_json=as_json)


async def _get(url: str, target: str, destination: Path | None, *, tree: bool, force: bool, as_json: bool) -> None:
    import packhouse

    async with packhouse.open(url, mode="r") as store:
        found = await find(store, target)
        kind = "tree" if tree else found.kind
        path = destination or _default_path(found)
        if kind == "blob" and path.is_dir():
            path /= _default_path(found)
        if kind == "tree":
            _check_vacant(path, force=force)
            with Meter(str(path)) as meter:
                await store.restore_tree(found.key, path, progress=meter.follow)
        else:
            await _get_file(store, found.key, path, force=force)
    if as_json:
        emit_json({"key": found.key, "name": found.name, "kind": kind, "path": str(path)})
    else:
        emit_line(str(path))


def _default_path(found: Found) -> Path:
    """Name a file after what was asked for; a name's last part never leads out of this folder."""
    last = (found.name or found.key).rstrip("/").rpartition("/")[2]
    if last in {"", ".", ".."} or "\0" in last:
        raise usage(f"get: {found.name!r} makes no file name: say where to")
    return Path(last)


def _check_vacant(path: Path, *, force: bool) -> None:
    """Refuse to restore a folder where anything is already."""
    if force:
        raise usage("get: --force replaces files only: remove the folder, or say where else to")
    if os.path.lexists(path) and not (path.is_dir() and next(path.iterdir(), None) is None):
        raise usage(f"get: {str(path)!r} is there already: a folder is restored into one that is missing or empty")


async def _get_file(store: packhouse.BlobStore, key: str, path: Path, *, force: bool) -> None:
    """Load piece by piece into a temporary file beside the goal, then put it in place."""
    if not force:
        _check_missing(path)
    size = await store.size(key)
    descriptor, temporary = tempfile.mkstemp(prefix=".packhouse-", dir=path.parent)
    try:
        with Meter(path.name, size) as meter, os.fdopen(descriptor, "wb") as file:
            async for piece in pieces_of(store, key):
                file.write(piece)
                meter.advance(len(piece))
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~_umask())
        _put_in_place(temporary, path, force=force)
    finally:
        Path(temporary).unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _check_missing(path: Path) -> None:
    if os.path.lexists(path):
        raise usage(f"get: {str(path)!r} exists; --force replaces it")


def _put_in_place(temporary: str, path: Path, *, force: bool) -> None:
    """Give the whole file its name; without `force` never that of a file that came into being meanwhile."""
    if not force:
        try:
            os.link(temporary, path)
        except OSError as error:
            _check_missing(path)
            if error.errno not in _NO_LINKS:
                raise
        else:
            return
    Path(temporary).replace(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
