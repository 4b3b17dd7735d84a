"""`packhouse cat`: write blobs to standard output."""

from __future__ import annotations

import re
import sys
from contextlib import nullcontext
from itertools import groupby
from typing import TYPE_CHECKING, Annotated

import typer

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json, MaybeStore
from packhouse.cli.output import flush, write
from packhouse.cli.pieces import pieces_of
from packhouse.cli.run import run, usage
from packhouse.cli.target import find

if TYPE_CHECKING:
    import packhouse

__all__ = ["cat"]

_PIECE = 8 << 20
_RANGE = re.compile("([0-9]{0,19}):([0-9]{0,19})")
_URI = re.compile("(.+)#([0-9a-f]{64})", re.DOTALL)


def cat(
    targets: Annotated[
        list[str], typer.Argument(metavar="KEY|NAME|URI...", help="Keys (64 hex digits), names, and URIs: STORE#KEY.")
    ],
    store: MaybeStore = None,
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
    bounds = _RANGE.fullmatch(part)
    if bounds is None or part == ":":
        raise usage(f"cat: --range is START:STOP in bytes, for example 0:100 or 1000:, not {part[:80]!r}")
    start, stop = bounds.groups()
    return int(start or 0), int(stop) if stop else None


async def _cat(url: str | None, targets: list[str], part: str | None) -> None:
    import packhouse

    bounds = _bounds(part)
    for where, group in groupby(_places(url, targets), key=lambda place: place[0]):
        async with packhouse.open(where, mode="r") as store:
            for _, target in group:
                found = await find(store, target)
                meter = Meter(target)
                with nullcontext() if sys.stdout.isatty() else meter:  # a terminal shows the content itself
                    await _write(store, found.key, *bounds, meter)
    flush()


def _places(url: str | None, targets: list[str]) -> list[tuple[str, str]]:
    """Tell the store of each target: a URI brings its own."""
    places = []
    for target in targets:
        uri = _URI.fullmatch(target)
        where, what = uri.groups() if uri is not None else (url, target)
        if where is None:
            raise usage("cat: a key or a name needs --store; a URI, STORE#KEY, brings its own")
        places.append((where, what))
    return places


async def _write(store: packhouse.BlobStore, key: str, start: int, stop: int | None, meter: Meter) -> None:
    size = await store.size(key)
    stop = size if stop is None else stop
    meter.reach(0, max(stop - start, 0))
    if (start, stop) == (0, size):
        async for piece in pieces_of(store, key):
            write(piece)
            meter.advance(len(piece))
        return
    for begin in range(start, max(stop, start + 1), _PIECE):  # an impossible range is refused by the store
        piece = await store.load_range(key, begin, min(begin + _PIECE, stop))
        write(piece)
        meter.advance(len(piece))
