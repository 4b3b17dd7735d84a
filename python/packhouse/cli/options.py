"""Options that several commands share, said once."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["Json", "MaybeStore", "Store", "Target"]

Store = Annotated[
    str,
    typer.Option("--store", "-s", envvar="PACKHOUSE_STORE", help="The store: a folder or its URL.", show_default=False),
]
MaybeStore = Annotated[
    str | None,
    typer.Option("--store", "-s", envvar="PACKHOUSE_STORE", help="The store: a folder or its URL.", show_default=False),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, one document per line; errors too, on standard error.")]
Target = Annotated[str, typer.Argument(metavar="KEY|NAME", help="A key (64 hex digits) or a name.", show_default=False)]
