"""What was measured in buckets, as tables of markdown: saves and loads by case, and what a large index costs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches import cases
from benches.peers import BUCKET, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benches.cases.contract import Case, Column
    from benches.results import Results

_CASES = {
    "bucket": "SeaweedFS",
    "google": "fake-gcs-server, an emulator",
    "azure": "Azurite, an emulator",
    "static": "nginx, files",
}
_OURS_ALONE = {"cold-bucket": "a new handle", "hedged": "single reads, one in 100 late"}
_NATIVE = "obstore-bucket"


def tables(results: Results) -> Iterator[str]:
    """Make the lines of a table of saves and one of loads for each case that ran; medians."""
    for name, server in _CASES.items():
        if not results.variants(name):
            continue
        case = cases.find(name)
        for what, metrics in (("save", ("save", "again")), ("load", ("load", "part"))):
            columns = [column for column in case.columns if column.metric.partition("_")[0] in metrics]
            if columns:
                yield from _table(results, case, f"{server}: {what}", columns)
    for name, title in _OURS_ALONE.items():
        if results.variants(name):
            yield from _table(results, cases.find(name), title, cases.find(name).columns)


def _table(results: Results, case: Case, title: str, columns: Sequence[Column]) -> Iterator[str]:
    yield f"| {title} | | {' | '.join(column.title for column in columns)} |"
    yield f"|{' --- |' * 2}{' ---: |' * len(columns)}"
    for variant in results.variants(case.name):
        for peer in results.peers(case.name, variant):
            cells = [_cell(results, case.name, variant, peer, column) for column in columns]
            if not any(cells):
                cells[0] = results.error(case.name, variant, peer) or ""
            named = peer.removesuffix("-bucket")
            yield f"| {variant} | {f'**{named}**' if peer in (OURS, BUCKET) else named} | {' | '.join(cells)} |"
    yield ""


def _cell(results: Results, case: str, variant: str, peer: str, column: Column) -> str:
    value = results.median(case, variant, peer, column.metric)
    if value is None:
        return ""
    said = f"{value:,.{column.digits}f}"
    if peer != BUCKET or not column.metric.endswith(("_mbs", "_blobs")):
        return said
    times = results.ratio(case, variant, (peer, column.metric), (_NATIVE, column.metric))
    return said if times is None else f"{said} ({times:.2f} × obstore)"
