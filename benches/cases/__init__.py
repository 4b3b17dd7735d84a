"""The cases, in the order they run: many small files before anything big, those with the most files at the end."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from benches.cases.contract import Case

_MODULES = {
    "single": "single",
    "reopen": "reopen",
    "batch": "batch",
    "metaflow": "metaflow",
    "insert": "insert",
    "ranges": "ranges",
    "versions": "versions",
    "memory": "memory",
    "loop-gap": "loop_gap",
    "bucket": "bucket",
    "google": "google",
    "azure": "azure",
    "static": "static",
    "cold-bucket": "cold_bucket",
    "hedged": "hedged",
    "task-artifacts": "task_artifacts",
    "task-listing": "task_listing",
    "lookups": "lookups",
    "aged": "aged",
    "names": "names",
    "names-flat": "names_flat",
}

NAMES = tuple(_MODULES)


def find(name: str) -> Case:
    """Import a case.

    Raises:
        KeyError: for a name that is none of `NAMES`.
    """
    case: Case = importlib.import_module(f"benches.cases.{_MODULES[name]}").CASE
    return case
