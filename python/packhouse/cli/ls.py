"""`packhouse ls`: list names."""

from __future__ import annotations

from typing import Annotated

import typer

from packhouse.cli.options import Json, Store
from packhouse.cli.output import bytes_text, emit_json, emit_line
from packhouse.cli.run import run
from packhouse.cli.target import kind_of

__all__ = ["ls"]

_PAGE = 1000


def ls(
    store: Store,
    prefix: Annotated[str, typer.Argument(help="Only names that begin with this.")] = "",
    long: Annotated[bool, typer.Option("--long", "-l", help="With kind, size and key.")] = False,
    as_json: Json = False,
) -> None:
    """List names in order; what was saved without a name has none.

    `--json` prints each name with its document, version and refs.
    """
    run(lambda: _ls(store, prefix, long=long, as_json=as_json), as_json=as_json)


async def _ls(url: str, prefix: str, *, long: bool, as_json: bool) -> None:
    import packhouse

    async with packhouse.open(url, mode="r") as store:
        listing = store.names.list(prefix)
        while names := await listing.page(_PAGE):
            if not long and not as_json:
                for name in names:
                    emit_line(name)
                continue
            for name, found in zip(names, await store.names.get_many(names), strict=True):
                if found is None:  # deleted meanwhile
                    continue
                if as_json:
                    emit_json({"name": name, "doc": found.doc, "version": found.version, "refs": list(found.refs)})
                elif kind_of(found.doc) is None:
                    emit_line(f"{'other':6} {'':>12} {'':64} {name}")
                else:
                    emit_line(f"{found.doc['kind']:6} {bytes_text(found.doc['size']):>12} {found.doc['key']} {name}")
