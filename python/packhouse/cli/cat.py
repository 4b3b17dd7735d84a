"""`packhouse cat`: write blobs to standard output."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from packhouse.cli.options import Json, Store
from packhouse.cli.output import write
from packhouse.cli.pieces import pieces_of
from packhouse.cli.run import run, usage
from packhouse.cli.target import find

if TYPE_CHECKING:
    import packhouse

__all__ = ["cat"]

_PIECE = 8 << 20


def cat(
    targets: Annotated[list[str], typer.Argument(metavar="KEY|NAME...", help="Keys (64 hex digits) and names.")],
    store: Store,
    part: Annotated[
        str | None,
        typer.Option("--range", metavar="START:STOP", help="Only these bytes, half open; either may be left out."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Write blobs to standard output, one after the other; every byte is verified before it is written.

    A folder's name gives its manifest. With `--json` errors are documents; what is written stays what it is.
    """
    run(lambda: _cat(store, targets, part), as_json=as_json)


def _bounds(part: str | None) -> tuple[int, int | None]:
    """Read START:STOP."""
    if part is None:
        return 0, None
    start, colon, stop = part.partition(":")
    if not colon or not (start + stop).isdecimal() or not (start + stop).isascii():
        raise usage(f"cat: --range is START:STOP in bytes, for example 0:100 or 1000:, not {part!r}")
    return int(start or 0), int(stop) if stop else None


async def _cat(url: str, targets: list[str], part: str | None) -> None:
    import packhouse

    bounds = _bounds(part)
    async with packhouse.open(url, mode="r") as store:
        for target in targets:
            found = await find(store, target)
            await _write(store, found.key, *bounds)
    sys.stdout.buffer.flush()


async def _write(store: packhouse.BlobStore, key: str, start: int, stop: int | None) -> None:
    size = await store.size(key)
    stop = size if stop is None else stop
    if (start, stop) == (0, size):
        async for piece in pieces_of(store, key):
            write(piece)
        return
    for begin in range(start, max(stop, start + 1), _PIECE):  # an impossible range is refused by the store
        write(await store.load_range(key, begin, min(begin + _PIECE, stop)))
