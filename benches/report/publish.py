"""What a whole run leaves in the repository: its raw figures, the picture, the README's table, those of two pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benches import cases
from benches.report import picture, readme

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benches.results import Results

_PAGES = {
    "docs/howto/metaflow.md": ("metaflow", "task-artifacts", "task-listing"),
    "docs/howto/buckets.md": ("bucket", "google", "azure", "static", "cold-bucket", "hedged"),
}
"""Pages with tables of their own, and the cases whose figures they show; the README shows the rest."""


def write(results: Results, root: Path) -> Iterator[Path]:
    """Write what was measured where it belongs, and tell each file; a page whose cases did not run stays as it is.

    The README's count of goals, met and missed, is of the whole run.

    Raises:
        ValueError: the run was no full one, which has the figures to quote.
    """
    if results.scale != "full":
        raise ValueError(f"only a full run is published, this one is {results.scale}")
    raw = root / "benches" / "results" / f"{results.machine['date']}.json"
    results.write(raw)
    yield raw
    for page, shown in _PAGES.items():
        found = results.of(shown)
        if found.outcomes:
            readme.write(found, root / page)
            yield root / page
    own = results.of(set(cases.NAMES).difference(*_PAGES.values()))
    if own.variants("batch"):
        picture.write(own, root / "docs" / "benchmarks.svg")
        yield root / "docs" / "benchmarks.svg"
        readme.write(own, root / "README.md", judged=results)
        yield root / "README.md"
