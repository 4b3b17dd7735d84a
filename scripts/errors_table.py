"""Write the table of kinds in docs/errors.md from `packhouse.errors`; `make docs` runs it, a test holds them equal."""

from __future__ import annotations

from pathlib import Path

from packhouse import errors

PAGE = Path(__file__).resolve().parents[1] / "docs" / "errors.md"
BEGIN, END = "<!-- kinds: written by scripts/errors_table.py -->\n", "<!-- /kinds -->"


def table() -> str:
    """Make the table: one row per kind, grouped by class in the tree's order."""
    rows = ["| class | kind | what happened | what to do |", "| --- | --- | --- | --- |"]
    order = [name for name in errors.__all__ if name != "KINDS"]
    entries = sorted(errors.KINDS.items(), key=lambda item: (order.index(item[1].error.__name__), item[0]))
    for kind, entry in entries:
        cells = (text.replace("|", "\\|") for text in (entry.cause, entry.remedy))
        rows.append(f"| `{entry.error.__name__}` | `{kind}` | {' | '.join(cells)} |")
    return "\n".join(rows) + "\n"


def page(text: str) -> str:
    """Put the table into the page between its marks."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}{table()}{END}{tail}"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text("utf-8")), encoding="utf-8")
