"""All of them: what a hostile or broken server does, and what must come of it."""

from __future__ import annotations

from tests.hostile import reading, writing
from tests.hostile.behaviour import BEHAVIOURS, Behaviour, Case

__all__ = ["BEHAVIOURS", "Behaviour", "Case", "reading", "writing"]
