"""The commands, put together."""

from __future__ import annotations

from importlib.metadata import version
from typing import Annotated

import typer

from packhouse.cli import cat, copy, doctor, get, init, logs, ls, metaflow, put, runs, show, stat, verify

__all__ = ["app"]

app = typer.Typer(
    name="packhouse",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 done, 1 failed, 2 usage, 3 not found, 4 damage, 5 refused, 6 outcome unknown, "
    "130 interrupted, 141 nobody reads the output.",
)
app.command("init")(init.init)
app.command("put")(put.put)
app.command("get")(get.get)
app.command("cat")(cat.cat)
app.command("copy")(copy.copy)
app.command("ls")(ls.ls)
app.command("stat")(stat.stat)
app.command("verify")(verify.verify)
app.command("runs")(runs.runs)
app.command("show")(show.show)
app.command("logs")(logs.logs)
app.command("doctor")(doctor.doctor)
app.add_typer(metaflow.app, name="metaflow")


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"packhouse {version('packhouse')}")
        raise typer.Exit


@app.callback()
def _packhouse(
    show_version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and leave.")
    ] = False,
) -> None:
    """Keep blobs, files and folders in a crash-safe, verified, deduplicating store."""
