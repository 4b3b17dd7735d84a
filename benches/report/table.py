"""The results as tables: one per variant, with ratios to the machine's limit and, for ours, to the best peer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from benches import cases, peers
from benches.goals import Verdict, verdicts

if TYPE_CHECKING:
    from rich.console import Console

    from benches.cases.contract import Case, Column
    from benches.results import Results, Spread


def show(results: Results, console: Console) -> None:
    """Print everything."""
    if results.packages:
        console.print(_peer_table(results))
    for name in cases.NAMES:
        if results.variants(name):
            console.print(_case_table(results, cases.find(name)))
    ours = {peers.OURS, peers.DROP_IN, peers.PACKED, peers.BUCKET} & set(results.packages)
    judged = verdicts(results) if results.scale != "tiny" and ours else []
    if judged:
        console.print(_goal_table(judged, results.scale))
    for peer, reason in results.absent.items():
        console.print(f"{peer} did not take part: {reason}")
    machine = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    console.print(f"scale {results.scale}; {machine}", style="dim")


def _peer_table(results: Results) -> Table:
    table = Table(title="Who takes part", title_justify="left")
    for heading in ("", "versions", "a save is durable by", "a load checks"):
        table.add_column(heading)
    for name, versions in results.packages.items():
        found = peers.find(name)
        table.add_row(found.label, versions, found.durability(), found.verifies)
    return table


def _case_table(results: Results, case: Case) -> Table:
    table = Table(title=case.title, title_justify="left")
    variants = results.variants(case.name)
    if any(variants):
        table.add_column("data")
    table.add_column("")
    for column in case.columns:
        table.add_column(column.title, justify="right")
    for variant in variants:
        table.add_section()
        data = [variant] if any(variants) else []
        if case.limit is not None:
            cells = [_limit_cell(results, case, variant, column) for column in case.columns]
            table.add_row(*data, "machine's limit", *cells, style="dim")
        for peer in results.peers(case.name, variant):
            cells = [_cell(results, case, variant, peer, column) for column in case.columns]
            error = results.error(case.name, variant, peer)
            if error is not None and not any(cells):
                cells[0] = error
            table.add_row(
                *data, peers.find(peer).label, *cells, style="bold" if peer in (peers.OURS, peers.BUCKET) else ""
            )
    return table


def _limit_cell(results: Results, case: Case, variant: str, column: Column) -> str:
    if column.limit is None:
        return ""
    spread = results.spread(case.name, variant, peers.MACHINE, column.limit)
    return "" if spread is None else _figure(spread, column)


def _cell(results: Results, case: Case, variant: str, peer: str, column: Column) -> str:
    spread = results.spread(case.name, variant, peer, column.metric)
    if spread is None:
        return ""
    text = _figure(spread, column)
    if column.limit is not None:
        ratio = results.ratio(case.name, variant, (peer, column.metric), (peers.MACHINE, column.limit))
        if ratio is not None:
            text += f" = {ratio:.2f} of limit"
    best = results.best_peer(case.name, variant, column.metric)
    if peer == peers.OURS and best is not None and column.metric.endswith("_mbs"):
        ratio = results.ratio(case.name, variant, (peer, column.metric), (best, column.metric))
        if ratio is not None:
            text += f", {ratio:.2f} times {best}"
    return text


def _figure(spread: Spread, column: Column) -> str:
    return f"{spread.median:,.{column.digits}f}{spread.extremes(column.digits)}"


def _goal_table(judged: list[Verdict], scale: str) -> Table:
    title = "Goals" if scale == "full" else f"Goals (a {scale} run: smaller batches than the goals mean)"
    table = Table(title=title, title_justify="left")
    table.add_column("goal")
    table.add_column("data")
    table.add_column("measured", justify="right")
    table.add_column("bound", justify="right")
    table.add_column("")
    words = {True: "[green]met[/]", False: "[red]missed[/]", None: "not measured"}
    for verdict in judged:
        value = "" if verdict.value is None else f"{verdict.value:,.2f}"
        bound = f"{'≥' if verdict.at_least else '≤'} {verdict.bound:,g}"
        table.add_row(verdict.goal, verdict.variant, value, bound, words[verdict.met])
    return table
