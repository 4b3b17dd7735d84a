"""What was measured beside stock Metaflow, as tables of markdown: artifacts, a flow, the faces of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from benches.peers import DROP_IN, MACHINE, OURS, PACKED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benches.results import Results

_STOCK = "metaflow"


class _Table(NamedTuple):
    """One table: of which case, how it is headed, what it shows, beside which of the machine's limits."""

    case: str
    title: str
    metrics: tuple[str, ...]
    limit: str | None = None


_SPEEDS = ("save_mbs", "again_mbs", "load_mbs")
_MEMORY = ("save_mib", "load_mib")
_FILES = _Table("metaflow", "files a second where each blob is one, saved", ("files_per_second",), "files_per_second")
_FLOW = _Table("metaflow", "a flow from end to end, seconds", ("flow_seconds",))
_THREE, _TWO = (_STOCK, DROP_IN, PACKED), (_STOCK, OURS)
_TABLES = (
    (_Table("metaflow", "artifacts: save, again, load in MB/s", _SPEEDS), _THREE),
    (_Table("metaflow", "memory beyond the artifacts: save, load in MiB", _MEMORY), _THREE),
    (_FILES, _THREE),
    (_FLOW, _THREE),
    (_Table("task-artifacts", "artifacts of a task: save, again, load in MB/s", _SPEEDS), _TWO),
    (_Table("task-artifacts", "memory beyond them: save, load in MiB", _MEMORY), _TWO),
    (_Table("task-listing", "a run of 10,000 tasks: list, list and records in ms", ("list_ms", "records_ms")), _TWO),
)
_HEADS = {_STOCK: "stock", DROP_IN: "drop-in", PACKED: "`--datastore packhouse`", OURS: "`packhouse.sync.tasks`"}


def tables(results: Results) -> Iterator[str]:
    """Make the lines of each table of which something ran; medians, ratios to stock round by round."""
    for table, peers in _TABLES:
        variants = [
            variant
            for variant in results.variants(table.case)
            if any(results.median(table.case, variant, peer, table.metrics[0]) is not None for peer in peers)
        ]
        if variants:
            yield from _lines(results, table, peers, variants)


def _lines(results: Results, table: _Table, peers: Sequence[str], variants: Sequence[str]) -> Iterator[str]:
    heads = [_HEADS[peer] for peer in peers] + (["the machine's limit"] if table.limit else [])
    yield f"| {table.title} | {' | '.join(heads)} |"
    yield f"|{' --- |' * (len(heads) + 1)}"
    for variant in variants:
        cells = [
            ", ".join(_figure(results, table, variant, peer, metric) for metric in table.metrics) for peer in peers
        ]
        if table.limit:
            limit = results.median(table.case, variant, MACHINE, table.limit)
            cells.append("–" if limit is None else f"{limit:,.0f}")
        yield f"| {variant} | {' | '.join(cells)} |"
    yield ""


def _figure(results: Results, table: _Table, variant: str, peer: str, metric: str) -> str:
    value = results.median(table.case, variant, peer, metric)
    if value is None:
        return "–"
    said = f"{value:,.1f}" if metric.endswith("seconds") else f"{value:,.0f}"
    times = None if metric in _MEMORY else results.ratio(table.case, variant, (peer, metric), (_STOCK, metric))
    beside = [] if peer == _STOCK or times is None else [f"{times:.2f} ×"]
    if table.limit:
        share = results.ratio(table.case, variant, (peer, metric), (MACHINE, table.limit))
        beside += [] if share is None else [f"{share:.2f} of the limit"]
    told = f" ({', '.join(beside)})" if beside else ""
    return f"{said}{told}" if peer == _STOCK else f"**{said}**{told}"
