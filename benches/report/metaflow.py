"""What was measured beside stock Metaflow, as tables of markdown: artifacts, a flow, the faces of our own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches.peers import DROP_IN, OURS, PACKED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benches.results import Results

_STOCK = "metaflow"


def tables(results: Results) -> Iterator[str]:
    """Make the lines of one table for each case that ran; medians, ratios to stock round by round."""
    if results.variants("metaflow"):
        yield from ("| artifacts: save, load in MB/s | stock | drop-in | `--datastore packhouse` |", _rule(4))
        for variant in results.variants("metaflow"):
            is_flow = variant.startswith("flow/")
            metrics = ("flow_seconds",) if is_flow else ("save_mbs", "load_mbs")
            peers = (_STOCK, DROP_IN, PACKED)
            cells = [_cell(results, "metaflow", variant, peer, metrics) for peer in peers]
            named = f"a flow with a foreach of {variant.removeprefix('flow/')}, seconds" if is_flow else variant
            yield f"| {named} | {' | '.join(cells)} |"
        yield ""
    if results.variants("task-artifacts"):
        yield from ("| artifacts of a task: save, load in MB/s | stock | `packhouse.sync.tasks` |", _rule(3))
        for variant in results.variants("task-artifacts"):
            cells = [
                _cell(results, "task-artifacts", variant, peer, ("save_mbs", "load_mbs")) for peer in (_STOCK, OURS)
            ]
            yield f"| {variant} | {' | '.join(cells)} |"
        for variant in results.variants("task-listing"):
            cells = [_cell(results, "task-listing", variant, peer, ("list_ms",)) for peer in (_STOCK, OURS)]
            yield f"| listing a run of 10,000 tasks, ms | {' | '.join(cells)} |"
        yield ""


def _rule(columns: int) -> str:
    return f"|{' --- |' * columns}"


def _cell(results: Results, case: str, variant: str, peer: str, metrics: tuple[str, ...]) -> str:
    return ", ".join(_figure(results, case, variant, peer, metric) for metric in metrics)


def _figure(results: Results, case: str, variant: str, peer: str, metric: str) -> str:
    value = results.median(case, variant, peer, metric)
    if value is None:
        return "–"
    said = f"{value:,.1f}" if metric.endswith("seconds") else f"{value:,.0f}"
    times = results.ratio(case, variant, (peer, metric), (_STOCK, metric))
    return said if peer == _STOCK or times is None else f"**{said}** ({times:.2f} ×)"
