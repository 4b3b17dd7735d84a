"""All of them: what a hostile or broken server does, and what must come of it."""

from __future__ import annotations

from tests.hostile import dialects, reading, writing
from tests.hostile.behaviour import BEHAVIOURS, Behaviour, Case

PAIRS = [(behaviour, service) for behaviour in BEHAVIOURS for service in ("s3", "gs", "az") if behaviour.fits(service)]
"""Each behaviour with each service whose dialect it is."""
__all__ = ["BEHAVIOURS", "PAIRS", "Behaviour", "Case", "dialects", "reading", "writing"]
