"""`packhouse init`: make a store."""

from __future__ import annotations

from typing import Annotated

import typer

from packhouse.cli.options import Json
from packhouse.cli.output import emit_json, note
from packhouse.cli.run import run

__all__ = ["init"]


def init(
    store: Annotated[str, typer.Argument(metavar="STORE", help="A folder, made if missing, or its URL.")],
    as_json: Json = False,
) -> None:
    """Make a store, or say that there is one already: doing it twice is no error."""
    run(lambda: _init(store, as_json=as_json), as_json=as_json)


async def _init(url: str, *, as_json: bool) -> None:
    import packhouse

    try:
        async with packhouse.open(url, mode="r"):
            made = False
    except packhouse.StoreNotFound:
        async with packhouse.open(url):
            made = True
    if as_json:
        emit_json({"store": url, "made": made})
    else:
        note(f"{url}: {'made a store' if made else 'is a store already'}")
