"""`packhouse copy`: bring what one store has into another."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json
from packhouse.cli.output import bytes_text, count_text, emit_json, emit_line
from packhouse.cli.run import DAMAGE, REFUSED, run

if TYPE_CHECKING:
    from packhouse.copying import Copied

__all__ = ["copy"]


def copy(
    source: Annotated[str, typer.Argument(metavar="SRC", help="A store: a folder or its URL.", show_default=False)],
    destination: Annotated[
        str, typer.Argument(metavar="DST", help="Another store; made if missing.", show_default=False)
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="Let names of SRC take the place of others in DST.")
    ] = False,
    check: Annotated[
        bool, typer.Option("--check", help="Read what DST has instead of trusting its index; damage there is healed.")
    ] = False,
    commit_every: Annotated[int, typer.Option(help="MiB after which to commit what has arrived.", min=1)] = 256,
    as_json: Json = False,
) -> None:
    """Copy blobs, trees and names that DST lacks; run it again after an interruption, it sends only the rest.

    The exit code is 4 if something in SRC, or a name in DST, cannot be read, and 5 if a name stands for another
    document in DST; all else is copied.
    """
    chosen = {"replace": replace, "check": check}
    run(lambda: _copy(source, destination, commit_every << 20, as_json=as_json, **chosen), as_json=as_json)


async def _copy(source: str, destination: str, commit_every: int, *, as_json: bool, replace: bool, check: bool) -> None:
    import packhouse
    from packhouse.copying import copy_store

    async with packhouse.open(source, mode="r") as ours, packhouse.open(destination) as theirs:
        total = None
        if sys.stderr.isatty():
            with Meter("reading the index", counts=False):
                total = (await ours.survey()).blob_bytes
        with Meter("copying", total) as meter:
            copied = await copy_store(
                ours, theirs, replace=replace, check=check, commit_every=commit_every, progress=meter.follow
            )
    if as_json:
        emit_json({"source": source, "destination": destination, **asdict(copied)})
    else:
        _show(copied)
    if copied.damaged_blobs or copied.damaged_names or copied.unreadable_names or copied.unlisted:
        raise typer.Exit(DAMAGE)
    if copied.differing_names:
        raise typer.Exit(REFUSED)


def _show(copied: Copied) -> None:
    for key in copied.damaged_blobs:
        emit_line(f"damaged in the source, not copied: {key}")
    for name in copied.damaged_names:
        emit_line(f"damaged in the source, not copied: the name {name!r}")
    for why in copied.unlisted:
        emit_line(f"not all of the source could be listed: {why}")
    for name in copied.unreadable_names:
        emit_line(f"damaged there, left alone: the name {name!r} (--check writes it anew)")
    for name in copied.differing_names:
        emit_line(f"another document there, left alone: the name {name!r}")
    sent = f"copied {count_text(copied.blobs, 'blob')}, {bytes_text(copied.size)}, {count_text(copied.names, 'name')}"
    there = f"{count_text(copied.present_blobs, 'blob')} and {count_text(copied.present_names, 'name')}"
    emit_line(f"{sent}; there already: {there}")
