"""Rows 8 and 10 in a bucket of a real server: the same state machine and the same race, with objects for files."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from tests.servers.running import NO_SERVER, ServerMissing
from tests.servers.seaweedfs import seaweedfs
from tests.torture import machine, race
from tests.torture.bucket import run_on
from tests.torture.nest import Nest
from tests.torture.outcome import Outcome

WRITERS = 4


@contextmanager
def _bucket(outcome: Outcome) -> Iterator[str | None]:
    """The URL of a bucket that processes find in their environment; None where no server can be had."""
    before = dict(os.environ)
    try:
        with seaweedfs() as bucket:
            os.environ |= {
                "AWS_ENDPOINT_URL": bucket.endpoint,
                "AWS_REGION": "us-east-1",
                "AWS_ACCESS_KEY_ID": bucket.access,
                "AWS_SECRET_ACCESS_KEY": bucket.secret,
            }
            yield f"s3://{bucket.bucket}/torture-{secrets.token_hex(6)}"
    except ServerMissing as missing:
        if os.environ.get("CI"):
            raise
        outcome.not_run = f"{NO_SERVER}{missing}"
        yield None
    finally:
        os.environ.clear()
        os.environ.update(before)


def run_machine(name: str, *, rounds: int) -> Outcome:
    """Row 8 in a bucket; of packhouse, whatever store is asked for: no other has one."""
    del name
    outcome = Outcome(8)
    with _bucket(outcome) as url:
        if url is None:
            return outcome
        with Nest() as nest:
            for backend in ("asyncio", "trio"):
                part = run_on(url, backend=backend, rounds=max(1, rounds // 2), steps=machine.STEPS, nest=nest)
                outcome.rounds += part.rounds
                outcome.seconds += part.seconds
                outcome.blame(backend, part.violations)
    return outcome


def run_race(name: str, *, rounds: int) -> Outcome:
    """Row 10 in a bucket: four processes."""
    del name
    outcome = Outcome(10)
    with _bucket(outcome) as url:
        return outcome if url is None else race.run(f"bucket:{url}", rounds=rounds, writers=WRITERS)
