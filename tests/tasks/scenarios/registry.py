"""The conformance suite: what one does with flow and task datastores, and what comes of it.

Each scenario returns what was seen, without keys, URIs and messages. Two implementations agree when they return the
same. A deliberate difference says what ours returns instead, and has its line on `docs/tasks-differences.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.tasks.candidate import Candidate

__all__ = ["SCENARIOS", "Scenario", "differing", "scenario"]


@dataclass(frozen=True)
class Scenario:
    """One scenario; `ours` is what packhouse returns where it differs deliberately."""

    name: str
    run: Callable[[Candidate], Any]
    ours: Any = None


SCENARIOS: list[Scenario] = []


def scenario(function: Callable[[Candidate], Any]) -> Callable[[Candidate], Any]:
    """Add a scenario in which all implementations agree."""
    SCENARIOS.append(Scenario(function.__name__, function))
    return function


def differing(ours: Any) -> Callable[[Callable[[Candidate], Any]], Callable[[Candidate], Any]]:
    """Add a scenario in which packhouse differs."""

    def add(function: Callable[[Candidate], Any]) -> Callable[[Candidate], Any]:
        SCENARIOS.append(Scenario(function.__name__, function, ours))
        return function

    return add
