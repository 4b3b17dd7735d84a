"""The results as the README tells them: tables of what ran, the goals that were met and missed, machine and date."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches import goals
from benches.peers import MACHINE, OURS
from benches.report import buckets, metaflow

if TYPE_CHECKING:
    from pathlib import Path

    from benches.results import Results

BEGIN, END = "<!-- bench:begin -->", "<!-- bench:end -->"
_COLUMNS = (("save_mbs", "save_limit_mbs"), ("again_mbs", "hash2_mbs"), ("load_mbs", "load_limit_mbs"))


def write(results: Results, readme: Path, *, judged: Results | None = None) -> None:
    """Replace what stands between the markers.

    Args:
        results: what is shown.
        readme: where.
        judged: what the goals are counted of, if that is more.

    Raises:
        ValueError: the file has no markers.
    """
    text = readme.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"{readme.name} has no place for the figures: {BEGIN} … {END}")
    readme.write_text(f"{before}{BEGIN}\n{markdown(results, judged or results)}{END}{after}")


def markdown(results: Results, judged: Results) -> str:
    """Make the table, MB/s as medians with the lowest and the highest, ratios round by round."""
    lines = []
    if results.variants("batch"):
        lines += ["| blobs | durable save, MB/s | save again | verified load |", "| --- | --- | --- | --- |"]
    for variant in results.variants("batch"):
        cells = [_cell(results, variant, metric, limit) for metric, limit in _COLUMNS]
        lines.append(f"| {variant} | {' | '.join(cells)} |")
    lines += ["", *metaflow.tables(results), *buckets.tables(results)]
    verdicts = goals.verdicts(judged)
    met = sum(verdict.met is True for verdict in verdicts)
    missed = [verdict for verdict in verdicts if verdict.met is False]
    lines += [f"Of {met + len(missed)} goals {met} were met. Missed:", ""]
    for verdict in missed:
        sign = "≥" if verdict.at_least else "≤"
        lines.append(
            f"- {verdict.goal}, {verdict.variant or 'all'}: {verdict.value:,.2f} (goal {sign} {verdict.bound:,g})"
        )
    if not missed:
        lines.append("- none")
    told = results.machine
    kind = ", ".join(str(told.get(what)) for what in ("processor", "cores", "memory_gib", "file_system"))
    note = " A peer's save counts with the sync it needs to be durable; its load verifies nothing, or a CRC."
    rounds = 1 + max((outcome.task.round for outcome in results.outcomes), default=0)
    often = "one round" if rounds == 1 else f"medians (lowest–highest) of at most {rounds} rounds"
    commits = _commits(results)
    where = f"{commits}{told.get('date')}; processor, cores, GiB, file system: {kind}"
    lines += ["", f"Scale `{results.scale}`, {often}, {where}.{note if results.variants('batch') else ''}"]
    return "\n".join(lines) + "\n"


def _commits(results: Results) -> str:
    """Say of which commit the figures are; of several, which cases are of which."""
    of: dict[str, dict[str, None]] = {}
    for outcome in results.outcomes:
        of.setdefault(outcome.commit, {})[outcome.task.case] = None
    if set(of) <= {""}:
        return ""
    if len(of) == 1:
        return f"commit {next(iter(of))}, "
    said = (f"{commit or 'unknown'} ({', '.join(names)})" for commit, names in of.items())
    return f"commits {'; '.join(said)}; "


def _cell(results: Results, variant: str, metric: str, limit: str) -> str:
    mine = results.spread("batch", variant, OURS, metric)
    if mine is None:
        return "–"
    said = [f"**{mine.median:,.0f}**{mine.extremes()}"]
    to_limit = results.ratio("batch", variant, (OURS, metric), (MACHINE, limit))
    if to_limit is not None:
        said.append(f"{to_limit:.2f} × limit")
    best = results.best_peer("batch", variant, metric)
    for peer in dict.fromkeys(peer for peer in (best, "metaflow") if peer is not None):
        ratio = results.ratio("batch", variant, (OURS, metric), (peer, metric))
        if ratio is not None:
            said.append(f"{ratio:.1f} × {peer}")
    return ", ".join(said)
