"""The engine's state machine on a bucket of each service: short here; `ROUNDS=200` for long."""

from __future__ import annotations

import os

import pytest

from tests.blobs.conftest import Service
from tests.torture.bucket import run_on
from tests.torture.nest import Nest

ROUNDS = int(os.environ.get("ROUNDS", "2"))


@pytest.mark.parametrize(
    ("service", "backend"), [("s3", "asyncio"), ("gs", "trio"), ("az", "asyncio")], indirect=["service"]
)
@pytest.mark.timeout(120 * max(1, ROUNDS // 2))
def test_the_state_machine_finds_nothing(service: Service, backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in service.environment.items():
        monkeypatch.setenv(name, value)
    with Nest() as nest:
        outcome = run_on(service.root, backend=backend, rounds=ROUNDS, steps=30, nest=nest)
    assert not outcome.violations, "\n".join(outcome.violations)
