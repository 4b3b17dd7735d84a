"""Rows 12 and 13: a server that misbehaves, by every client; and what it sends to fill the memory."""

from __future__ import annotations

import random
import resource

import anyio

from tests.hostile.behaviours import BEHAVIOURS, PAIRS
from tests.hostile.driving import CARRIERS, Carrier, drive
from tests.torture.nest import JobFailed, Nest, Report
from tests.torture.outcome import Outcome

LIMIT = 256 << 20
BOMBS = (
    "a_decompression_bomb",
    "chunks_without_an_end",
    "a_giant_head",
    "interim_answers_without_an_end",
    "a_length_of_a_terabyte",
    "an_xml_bomb",
    "xml_without_a_bottom",
    "a_list_that_never_ends",
    "json_without_a_bottom",
    "a_list_of_google_that_never_ends",
    "a_list_of_azure_that_never_ends",
)
MATRIX: dict[str, tuple[tuple[Carrier, str], ...]] = {
    "s3": (*((carrier, "asyncio") for carrier in CARRIERS), ("own", "trio")),
    "gs": (("own", "asyncio"), ("own", "trio"), ("httpx", "asyncio")),
    "az": (("own", "asyncio"), ("own", "trio"), ("httpx", "asyncio")),
}
"""Which clients meet a service's dialect, on which loop."""


def run(name: str, *, rounds: int, seed: int = 12) -> Outcome:
    """So many of all pairs of a behaviour and a client; 0 for all. It is about the client, whatever the store."""
    del name
    outcome = Outcome(12)
    pairs = [(behaviour, service, *way) for behaviour, service in PAIRS for way in MATRIX[service]]
    random.Random(seed).shuffle(pairs)
    slowest = 0.0
    with outcome.timed():
        for behaviour, service, carrier, loop in pairs[: rounds or None]:
            try:
                slowest = max(slowest, anyio.run(drive, behaviour, carrier, service, backend=loop))
            except Exception as error:  # noqa: BLE001 - that is the finding
                outcome.blame(f"{behaviour.name}, {service}, {carrier}, {loop}", [f"{type(error).__name__}: {error}"])
            outcome.rounds += 1
            if outcome.hopeless:
                break
    outcome.notes.append(f"{len(BEHAVIOURS)} behaviours; slowest operation {slowest:.2f} s of 2 s + 10 %")
    return outcome


def run_bombs(name: str, *, rounds: int) -> Outcome:
    """Each bomb, by each client, in a process that may have 256 MiB."""
    del name
    outcome = Outcome(13)
    bombs = [(behaviour.name, service) for behaviour, service in PAIRS if behaviour.name in BOMBS]
    pairs = [(*bomb, *way) for bomb in bombs for way in MATRIX[bomb[1]]][: rounds or None]
    with outcome.timed(), Nest() as nest:
        try:
            outcome.violations += nest.call("tests.torture.remote:defuse", pairs, timeout=300)
        except JobFailed as failure:
            outcome.violations.append(str(failure))
        outcome.rounds = len(pairs)
    outcome.notes.append("from a server; those in stored bytes are rows 5 and 17")
    return outcome


def defuse(report: Report, pairs: list[tuple[str, str, Carrier, str]]) -> list[str]:
    """Meet the bombs with little memory."""
    del report
    resource.setrlimit(resource.RLIMIT_DATA, (LIMIT, LIMIT))
    wrong = []
    for bomb, service, carrier, loop in pairs:
        behaviour = next(each for each in BEHAVIOURS if each.name == bomb)
        try:
            anyio.run(drive, behaviour, carrier, service, backend=loop)
        except Exception as error:  # noqa: BLE001 - that is the finding
            wrong.append(f"{bomb}, {service}, {carrier}, {loop}: {type(error).__name__}: {error}")
    return wrong
