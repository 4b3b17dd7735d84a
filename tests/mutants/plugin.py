"""A plug-in of pytest that plants a bug before the tests are collected."""

from __future__ import annotations

import os

from tests.mutants.python import PLANTS

if (_planted := os.environ.get("PACKHOUSE_MUTANT", "")) in PLANTS:
    PLANTS[_planted]()
