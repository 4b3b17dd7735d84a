"""`packhouse doctor`: try out what a bucket or a folder really does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from packhouse.cli.options import Json
from packhouse.cli.output import emit_json, emit_line
from packhouse.cli.run import FAILED, run

if TYPE_CHECKING:
    from packhouse.objects.doctor import Diagnosis

__all__ = ["doctor"]

_MARKS = {"good": "✓", "poor": "!", "bad": "✗"}


def doctor(
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://bucket/prefix, or a folder.", show_default=False)],
    endpoint: Annotated[str | None, typer.Option(help="Where the service is: https://host:port.")] = None,
    region: Annotated[str | None, typer.Option(help="Of the bucket.")] = None,
    profile: Annotated[str | None, typer.Option(help="The section of the AWS files.")] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Sign nothing.")] = False,
    unquoted_etags: Annotated[bool, typer.Option("--unquoted-etags", help="Compare versions without quotes.")] = False,
    as_json: Json = False,
) -> None:
    """Check credentials, rights, conditional writes, uploads in parts, checksums, clock, latency and throughput.

    It writes some 45 MB under a random prefix and removes them. What is not given is found as the AWS tools find it.
    The exit code is 1 if a store cannot work there.
    """
    chosen = {"endpoint": endpoint, "region": region, "profile": profile}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    flags = {"anonymous": anonymous, "quoted_etags": not unquoted_etags}
    run(lambda: _doctor(url, {**chosen, **flags}, as_json=as_json), as_json=as_json)


async def _doctor(url: str, chosen: dict[str, Any], *, as_json: bool) -> None:
    from packhouse.objects import open_objects
    from packhouse.objects.doctor import examine

    options = None
    if url.startswith("s3://"):
        from packhouse.objects.s3 import S3Options

        options = S3Options(**chosen)
    sound = True
    async with open_objects(url, options=options) as store:
        async for found in examine(store):
            sound = sound and found.verdict != "bad"
            emit_json(found._asdict()) if as_json else _show(found)
    if not sound:
        raise typer.Exit(FAILED)


def _show(found: Diagnosis) -> None:
    emit_line(f"{_MARKS[found.verdict]} {found.subject:20} {found.detail}")
