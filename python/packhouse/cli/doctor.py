"""`packhouse doctor`: try out what a bucket or a folder really does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager, contextmanager, suppress
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from packhouse.cli.options import Json
from packhouse.cli.output import emit_json, emit_line
from packhouse.cli.run import FAILED, run
from packhouse.errors import InvalidInput

if TYPE_CHECKING:
    from packhouse.objects.doctor import Diagnosis

__all__ = ["doctor"]

_MARKS = {"good": "✓", "poor": "!", "bad": "✗"}


def doctor(
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://, gs://, az://, or a folder.", show_default=False)],
    endpoint: Annotated[str | None, typer.Option(help="Where the service is: https://host:port.")] = None,
    region: Annotated[str | None, typer.Option(help="Of the bucket (S3).")] = None,
    profile: Annotated[str | None, typer.Option(help="The section of the AWS files (S3).")] = None,
    anonymous: Annotated[bool, typer.Option("--anonymous", help="Sign nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Check credentials, rights, conditional writes, uploads in parts, checksums, clock, latency and throughput.

    It writes some 45 MB under a random prefix and removes them. What is not given is found as the service's own tools
    find it. In a folder a store is made, within a new folder that is removed: saved to, loaded from and verified.
    The exit code is 1 if a store cannot work there.
    """
    chosen: dict[str, Any] = {"endpoint": endpoint, "region": region, "profile": profile}
    chosen = {name: value for name, value in chosen.items() if value is not None}
    chosen |= {"anonymous": True} if anonymous else {}
    run(lambda: _doctor(url, chosen, as_json=as_json), as_json=as_json)


async def _doctor(url: str, chosen: dict[str, Any], *, as_json: bool) -> None:
    from packhouse.objects.opening import service_of

    service = service_of(url)
    kind = service[1] if service is not None else None
    strange = sorted(set(chosen) - {field.name for field in fields(kind)} if kind is not None else chosen)
    if strange:
        where = f"{url.partition('://')[0]}://" if kind is not None else f"{url} is no bucket, it"
        raise InvalidInput(f"{where} has no {strange[0]}", kind="option")
    sound = True
    async with _findings(url, kind(**chosen) if kind is not None else None) as findings:
        async for found in findings:
            sound = sound and found.verdict != "bad"
            emit_json(found._asdict()) if as_json else _show(found)
    if not sound:
        raise typer.Exit(FAILED)


@asynccontextmanager
async def _findings(url: str, options: Any) -> AsyncIterator[AsyncIterator[Diagnosis]]:
    """Examine a folder by a store in it, and what else keeps objects by its verbs."""
    from packhouse.blobs.options import locate_store
    from packhouse.cli.folder_trials import examine_folder
    from packhouse.objects import open_objects
    from packhouse.objects.doctor import examine

    path = locate_store(url).path
    if path is not None:
        with _place(path) as place:
            async with aclosing(examine_folder(place)) as findings:
                yield findings
        return
    async with open_objects(url, options=options) as store, aclosing(examine(store)) as findings:
        yield findings


@contextmanager
def _place(path: str) -> Iterator[str]:
    """Tell where to try in a folder: in a new one, so that a store can be made there afterwards."""
    import tempfile

    missing = not Path(path).exists()
    Path(path).mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryDirectory(prefix="doctor-", dir=path) as inner:
            yield inner
    finally:
        if missing:
            with suppress(OSError):
                Path(path).rmdir()


def _show(found: Diagnosis) -> None:
    emit_line(f"{_MARKS[found.verdict]} {found.subject:20} {found.detail}")
