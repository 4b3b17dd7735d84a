"""`packhouse stat`: what a store holds, or how one blob is stored."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from packhouse.cli.meter import Meter
from packhouse.cli.options import Json, Store
from packhouse.cli.output import bytes_text, count_text, emit_json, emit_line
from packhouse.cli.run import run
from packhouse.cli.target import find

if TYPE_CHECKING:
    from packhouse import BlobAnatomy, StoreSurvey

__all__ = ["stat"]

_CHART_WIDTH = 40


def stat(
    store: Store,
    targets: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY|NAME...]", help="Blobs; none: the store.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show sizes, deduplication, compression and chunk sizes; for a blob, why it was not deduplicated.

    A store's sums count each blob and each chunk once, however often it was saved.
    """
    run(lambda: _stat(store, targets or [], as_json=as_json), as_json=as_json)


async def _stat(url: str, targets: list[str], *, as_json: bool) -> None:
    import packhouse

    async with packhouse.open(url, mode="r") as store:
        if not targets:
            with Meter("reading the index", counts=False):
                survey = await store.survey()
            emit_json(asdict(survey)) if as_json else _show_store(survey)
        for target in targets:
            found = await find(store, target)
            with Meter(f"reading the recipe of {target}", counts=False):
                anatomy = await store.anatomy(found.key)
            if as_json:
                emit_json({"target": target, "key": found.key, "kind": found.kind, **asdict(anatomy)})
            else:
                _show_blob(target, found.key, anatomy)


def _ratio(whole: float, part: float) -> str:
    return f"{whole / part:,.2f} : 1" if part else "–"


def _row(label: str, value: str, remark: str = "") -> None:
    emit_line(f"{label:14} {value:>12}  {remark}".rstrip())


def _show_store(survey: StoreSurvey) -> None:
    _row("blobs", f"{survey.blobs:,}", f"{bytes_text(survey.blob_bytes)}; {survey.large_blobs:,} of several chunks")
    _row("chunks", f"{survey.chunks:,}", f"{bytes_text(survey.chunk_bytes)} before compression")
    _row(
        "on disk",
        bytes_text(survey.pack_bytes + survey.index_bytes),
        f"{count_text(survey.packs, 'pack')}, index {bytes_text(survey.index_bytes)}",
    )
    _row(
        "deduplication",
        _ratio(survey.blob_bytes, survey.chunk_bytes),
        "bytes of blobs : bytes of their different chunks",
    )
    _row(
        "compression",
        _ratio(survey.chunk_bytes, survey.stored_bytes),
        f"did not pay for {bytes_text(survey.raw_bytes)}",
    )
    if survey.surplus:
        twice = "two writers saved them at the same moment, or they were saved again after damage"
        _row("surplus", f"{survey.surplus:,}", f"{bytes_text(survey.surplus_bytes)} stored more than once: {twice}")
    if survey.damage_notes:
        _row("damage notes", f"{survey.damage_notes:,}", "`packhouse verify` says where")
    if survey.unreadable:
        _row("unreadable", f"{survey.unreadable:,}", "parts of the index, left out here; `packhouse verify` says which")
    _show_chart(survey)


def _show_chart(survey: StoreSurvey) -> None:
    """Draw how many chunks there are of which size, and what share of all bytes they hold."""
    used = [bucket for bucket, count in enumerate(survey.sizes) if count]
    if not used:
        return
    emit_line("\nchunks by size")
    most = max(survey.sizes)
    for bucket in range(used[0], used[-1] + 1):
        count = survey.sizes[bucket]
        bar = "█" * -(-count * _CHART_WIDTH // most)
        share = survey.size_bytes[bucket] / survey.chunk_bytes if survey.chunk_bytes else 0
        emit_line(f"{_limit(bucket):>12} {bar:{_CHART_WIDTH}} {count:>9,}  {share:4.0%} of bytes")


def _limit(bucket: int) -> str:
    """Name a size class: empty chunks, or those below a power of two."""
    return "empty" if bucket == 0 else f"< {bytes_text(1 << bucket).replace('.0 ', ' ')}"


def _show_blob(target: str, key: str, anatomy: BlobAnatomy) -> None:
    emit_line(f"{target}" if target == key else f"{target}  {key}")
    _row("size", bytes_text(anatomy.size), f"{anatomy.size:,} bytes")
    different = anatomy.size - anatomy.repeated_bytes
    _row("chunks", f"{anatomy.chunks:,}", f"in {count_text(anatomy.packs, 'pack')}")
    _row("compression", _ratio(different, anatomy.stored_bytes), f"did not pay for {bytes_text(anatomy.raw_bytes)}")
    if anatomy.chunks > 1:
        shared = anatomy.known_bytes + anatomy.repeated_bytes
        known = (
            f"{bytes_text(anatomy.known_bytes)} were stored before, {bytes_text(anatomy.repeated_bytes)} repeat within"
        )
        _row("deduplicated", f"{shared / anatomy.size:.0%}", known)
    for reason in _why_not(anatomy):
        _row("why not more", "", reason)
    if anatomy.bad_chunks:
        _row("damaged", f"{anatomy.bad_chunks:,}", "chunks cannot be read: saving the blob again heals them")


def _why_not(anatomy: BlobAnatomy) -> list[str]:
    """Give the reasons why what is new in a blob could not be found in the store."""
    if anatomy.chunks <= 1:
        return ["one chunk: a blob up to the largest chunk is shared whole or not at all"]
    new = anatomy.size - anatomy.repeated_bytes - anatomy.known_bytes
    if not new:
        return []
    reasons = []
    if anatomy.raw_bytes > new / 2:
        reasons.append(
            "it does not compress: in compressed, encrypted or random data a small change changes all that follows"
        )
    if anatomy.surplus_chunks:
        twice = count_text(anatomy.surplus_chunks, "chunk")
        reasons.append(f"{twice} stored more than once: two writers at the same moment, or damage")
    reasons.append(f"{bytes_text(new)} were in no blob saved before; a change costs the whole chunks around it")
    return reasons
