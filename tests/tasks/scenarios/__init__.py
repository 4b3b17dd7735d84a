"""All scenarios of the conformance suite."""

from __future__ import annotations

from tests.tasks.scenarios import artifacts, content, copies, documents, listing, modes
from tests.tasks.scenarios.registry import SCENARIOS, Scenario

__all__ = ["SCENARIOS", "Scenario", "artifacts", "content", "copies", "documents", "listing", "modes"]
