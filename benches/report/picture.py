"""The results as an SVG: durable saves and loads of random data, a bar a peer, the machine's limit as a line."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING, NamedTuple

from benches import peers
from benches.scale import SCALES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benches.results import Results


class _Panel(NamedTuple):
    """One measured figure, beside the limit it is drawn against."""

    metric: str
    limit: str
    title: str


_PANELS = (_Panel("save_mbs", "save_limit_mbs", "durable save"), _Panel("load_mbs", "load_limit_mbs", "load"))
_LEFT, _LABEL, _BARS, _GAP = 16, 118, 210, 50
_ROW, _HEAD, _TOP = 19, 46, 62
_PANEL_WIDTH = _LABEL + _BARS + _GAP
_WIDTH = _LEFT * 2 + _PANEL_WIDTH * len(_PANELS)

# Mid-tone bars show on white and on black; the text follows the reader's scheme.
_STYLE = """
text{font:12px system-ui,sans-serif;fill:#24292f}
.title{font-size:15px;font-weight:600}.head{font-weight:600}.faint{fill:#6e7781}
.ours{fill:#1f8a70}.peer{fill:#7a8fa6}.open{fill:none;stroke:#7a8fa6;stroke-width:1.5}
.limit{stroke:#d9822b;stroke-width:2;stroke-dasharray:4 3}.key{fill:#d9822b}
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.faint{fill:#9198a1}.ours{fill:#2bb594}}
"""


def write(results: Results, path: Path) -> None:
    """Write the picture.

    Raises:
        ValueError: where no batch of random data was measured.
    """
    variants = [variant for variant in results.variants("batch") if variant.startswith("random/")]
    if not variants:
        raise ValueError("a picture needs the case batch on random data")
    body: list[str] = []
    top = _TOP
    for variant in variants:
        rows = results.peers("batch", variant)
        for number, panel in enumerate(_PANELS):
            body += _draw(results, variant, panel, _LEFT + number * _PANEL_WIDTH, top)
        top += _HEAD + _ROW * len(rows)
    body.append(_text(_LEFT, top + 8, _footer(results), "faint"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_document(body, top + 24))


def _draw(results: Results, variant: str, panel: _Panel, left: int, top: int) -> Iterator[str]:
    rows = results.peers("batch", variant)
    metric, limit, title = panel
    values = {peer: results.median("batch", variant, peer, metric) for peer in rows}
    bound = results.median("batch", variant, peers.MACHINE, limit)
    highest = max([value for value in (*values.values(), bound) if value is not None], default=1.0)
    told = "" if bound is None else f" (limit {bound:,.0f})"
    yield _text(left, top, f"{_shape(results, variant)}: {title}, MB/s{told}", "head")
    for at, (peer, value) in enumerate(values.items()):
        y = top + 10 + at * _ROW
        found = peers.find(peer)
        yield _text(left, y + 12, found.label, "head" if peer == peers.OURS else "")
        if value is None:
            yield _text(left + _LABEL, y + 12, "not measured", "faint")
            continue
        width = max(value / highest * _BARS, 1.0)
        unchecked = metric == "load_mbs" and found.verifies == "nothing"
        kind = "ours" if peer == peers.OURS else "open" if unchecked else "peer"
        yield f'<rect class="{kind}" x="{left + _LABEL}" y="{y + 2}" width="{width:.1f}" height="{_ROW - 6}" rx="2"/>'
        yield _text(left + _LABEL + round(width) + 5, y + 12, f"{value:,.0f}", "faint")
    if bound is not None:
        x = left + _LABEL + bound / highest * _BARS
        yield f'<line class="limit" x1="{x:.1f}" x2="{x:.1f}" y1="{top + 8}" y2="{top + 10 + _ROW * len(rows)}"/>'


def _shape(results: Results, variant: str) -> str:
    shape = SCALES[results.scale].shape(variant.partition("/")[2])
    size = f"{shape.size >> 20} MiB" if shape.size >= 1 << 20 else f"{shape.size >> 10} KiB"
    return f"{shape.count:,} × {size}"


def _footer(results: Results) -> str:
    machine = results.machine
    return (
        f"{machine['cores']} cores, {machine['processor']}, {machine['file_system']}, {machine['date']}, "
        f"{results.scale} run. Every save is charged with the sync that makes it durable."
    )


def _text(x: int, y: int, text: str, kind: str) -> str:
    attribute = f' class="{kind}"' if kind else ""
    return f'<text{attribute} x="{x}" y="{y}">{escape(text)}</text>'


def _document(body: list[str], height: int) -> str:
    legend = [
        _text(_LEFT, 22, "Random bytes: packhouse, its peers and the machine's limit", "title"),
        _text(
            _LEFT,
            40,
            "dashed: the machine's limit (writing with fdatasync, reading, BLAKE3 on two threads); "
            "outlined: loads that verify nothing",
            "faint",
        ),
    ]
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}">'
    )
    return "\n".join([head, f"<style>{_STYLE}</style>", *legend, *body, "</svg>"]) + "\n"
