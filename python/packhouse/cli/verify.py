"""`packhouse verify`: read and check everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json, Store
from packhouse.cli.output import bytes_text, count_text, emit_json, emit_line
from packhouse.cli.pieces import pieces_of
from packhouse.cli.run import DAMAGE, run

if TYPE_CHECKING:
    import packhouse

__all__ = ["verify"]


def verify(
    store: Store,
    independent: Annotated[
        bool,
        typer.Option(
            "--independent", help="Load every blob and compute its key with the second BLAKE3 implementation, too."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Read and check every block of the index, every chunk of every pack, every large blob against its key.

    What is wrong is listed, and noted in the store, so that saving the blob again heals it. The exit code is 4 if
    anything is wrong. What writers that died have left is told: it costs space and is nothing wrong.
    """
    run(lambda: _verify(store, independent=independent, as_json=as_json), as_json=as_json)


async def _verify(url: str, *, independent: bool, as_json: bool) -> None:
    import packhouse

    async with packhouse.open(url, create=False) as store:
        with Meter("reading the index", counts=False):
            survey = await store.survey()
        with Meter("checking packs", survey.pack_bytes) as meter:
            report = await store.verify(progress=meter.follow)
        recomputed = None
        if independent:
            recomputed, wrong = await _recompute(store, survey.blob_bytes)
            report = report._replace(findings=(*report.findings, *wrong))
    if as_json:
        findings = [finding._asdict() for finding in report.findings]
        emit_json({**report._asdict(), "findings": findings, "keys_recomputed": recomputed})
    else:
        _show(report, recomputed)
    if report.findings:
        raise typer.Exit(DAMAGE)


async def _recompute(store: packhouse.BlobStore, total: int) -> tuple[int, list[packhouse.Finding]]:
    """Load every blob and hold it against its key with the PyPI package; return how many, and what is wrong."""
    import packhouse

    count = 0
    wrong = []
    with Meter("recomputing keys", total) as meter:
        try:
            async for blob in store.keys():
                try:
                    async for piece in pieces_of(store, blob.key):
                        meter.advance(len(piece))
                except packhouse.CorruptBlob as error:
                    wrong.append(packhouse.Finding(error.kind, blob.key, str(error)))
                count += 1
        except packhouse.CorruptBlob as error:  # no list of what is to be recomputed, from here on
            wrong.append(packhouse.Finding(error.kind, "index", str(error)))
    return count, wrong


def _show(report: packhouse.VerifyReport, recomputed: int | None) -> None:
    for finding in report.findings:
        emit_line(f"{finding.kind}: {finding.path}: {finding.message}")
    checked = (
        count_text(report.segments, "segment"),
        count_text(report.packs, "pack"),
        count_text(report.frames, "chunk"),
        count_text(report.large_blobs, "large blob"),
        count_text(report.documents, "name"),
        bytes_text(report.bytes),
    )
    emit_line(f"checked {', '.join(checked)}")
    _show_leftovers(report)
    if recomputed is not None:
        emit_line(f"recomputed {count_text(recomputed, 'key')} with the package blake3")
    emit_line(count_text(len(report.findings), "finding") if report.findings else "nothing is wrong")


def _show_leftovers(report: packhouse.VerifyReport) -> None:
    """Tell what no commit lists: it costs space, and is nothing wrong."""
    if report.unlisted_packs:
        emit_line(f"{count_text(report.unlisted_packs, 'pack')} of no commit: under way, or of a writer that died")
    for name in report.unfinished_uploads or ():
        emit_line(f"unfinished upload of {name}: under way, or of a writer that died")
    if report.unfinished_uploads is None:
        emit_line("unfinished uploads are not told: the service refuses to list them (`packhouse doctor` says why)")
