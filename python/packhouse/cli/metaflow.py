"""`packhouse metaflow`: look after a local datastore of Metaflow, and see what the drop-in does for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json
from packhouse.cli.output import bytes_text, count_text, emit_json, emit_line
from packhouse.cli.run import DAMAGE, call

if TYPE_CHECKING:
    from packhouse.compat.metaflow.compare import Compared
    from packhouse.compat.metaflow.verify import HurtBlob

__all__ = ["app"]

app = typer.Typer(no_args_is_help=True, help="Look after a local datastore of Metaflow.")


@app.command("verify")
def verify(
    root: Annotated[str, typer.Argument(help="The folder .metaflow, or the one it lies in.")], as_json: Json = False
) -> None:
    """Read every blob, whoever wrote it, and compare its content with its key.

    What is damaged or missing is listed with the runs it hurts, and noted, so that saving the same artifact again with
    the drop-in heals it. The exit code is 4 if anything is wrong.
    """
    call(lambda: _verify(root, as_json=as_json), as_json=as_json)


@app.command("compare")
def compare(
    scale: Annotated[float, typer.Option("--scale", min=0.001, help="How much data: 1 is about 600 MiB.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Save and load the same artifacts with stock Metaflow and with the drop-in, in a temporary folder here.

    Then damage files and show what each of them makes of it. Metaflow and packhouse-metaflow have to be installed.
    """
    call(lambda: _compare(scale, as_json=as_json), as_json=as_json)


def _verify(root: str, *, as_json: bool) -> None:
    from packhouse.compat.metaflow.verify import verify_datastore

    with Meter("verifying") as meter:
        report = verify_datastore(root, meter.reach)
    if as_json:
        emit_json(
            {
                "flows": report.flows,
                "blobs": report.blobs,
                "bytes": report.bytes,
                "unverifiable": report.unverifiable,
                "unreadable": report.unreadable,
                "hurt": [{**one._asdict(), "users": [user._asdict() for user in one.users]} for one in report.hurt],
            }
        )
    else:
        for one in report.hurt:
            _show_hurt(one)
        checked = (count_text(report.flows, "flow"), count_text(report.blobs, "blob"), bytes_text(report.bytes))
        emit_line(f"checked {', '.join(checked)}")
        if report.unverifiable:
            emit_line(f"{count_text(report.unverifiable, 'file')} with a name that is no SHA-1: not verified")
        for path in report.unreadable:
            emit_line(f"unreadable: {path}: which blobs a task's record names there is not known")
        if report.hurt:
            emit_line(f"{count_text(len(report.hurt), 'blob')} cannot be read")
        elif not report.unreadable:
            emit_line("nothing is wrong")
    if report.hurt or report.unreadable:
        raise typer.Exit(DAMAGE)


def _show_hurt(one: HurtBlob) -> None:
    emit_line(f"{one.what}: {one.path}")
    for user in one.users:
        emit_line(f"  hurts {one.flow}/{user.task} attempt {user.attempt}: {user.artifact}")
    if not one.users:
        emit_line("  no task's record names it")


def _compare(scale: float, *, as_json: bool) -> None:
    import tempfile
    from pathlib import Path

    from packhouse.compat.metaflow import compare as side_by_side

    with tempfile.TemporaryDirectory(prefix="packhouse-compare-", dir=".") as place:
        if not as_json:
            emit_line(f"{'':32}{'stock':>12}{'drop-in':>12}")
        for number, sample in enumerate(side_by_side.samples(scale)):
            row = side_by_side.compare(sample, Path(place) / str(number))
            emit_json(row._asdict()) if as_json else _show_compared(row)
        for strike in side_by_side.damage(Path(place)):
            if as_json:
                emit_json(strike._asdict())
            else:
                emit_line(f"{strike.what}:")
                emit_line(f"  stock    {strike.stock}")
                emit_line(f"  drop-in  {strike.ours}")
    if not as_json:
        emit_line("the drop-in's saves are durable and its loads verified; stock's are neither")


def _show_compared(row: Compared) -> None:
    emit_line(f"{row.title} ({bytes_text(row.bytes)})")
    for what, stock, ours in (("save", row.stock_save, row.our_save), ("load", row.stock_load, row.our_load)):
        emit_line(
            f"  {what:30}{row.bytes / stock / 2**20:>7,.0f} MiB/s{row.bytes / ours / 2**20:>6,.0f} MiB/s"
            f"   {stock / ours:.1f} ×"
        )
    emit_line(f"  {'on disk':30}{bytes_text(row.stock_disk):>13}{bytes_text(row.our_disk):>12}")
