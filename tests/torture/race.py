"""Row 10: many processes save the same blobs and change the same names in one folder."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import anyio

from tests.torture.contract import Store, Subject, subject
from tests.torture.nest import JobFailed, Nest, Report
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder
from tests.torture.workload import key_of, some_bytes

WRITERS = 16
BLOBS = 50
COUNTERS = 3
BACKENDS = ("asyncio", "trio")


def blob(number: int) -> bytes:
    """One of the blobs that everybody saves."""
    dice = random.Random(f"race {number}")
    return some_bytes(dice, dice.choice((10, 3_000, 40_000)) if number else 700_000)


def run(name: str, *, rounds: int, seed: int = 10, writers: int = WRITERS) -> Outcome:
    """`writers` processes, each with `rounds` saves."""
    outcome = Outcome(10)
    with outcome.timed(), Nest() as nest, scratch_folder() as folder:
        path = folder / "store"
        outcome.rounds, added = _race(nest, (name, path, seed), outcome, rounds, writers)
        try:
            outcome.violations += nest.call("tests.torture.race:judge", name, str(path), added, timeout=600)
        except JobFailed as failure:
            outcome.violations.append(f"the store could not be checked: {failure}")
    return outcome


def _race(nest: Nest, of: tuple[str, Path, int], outcome: Outcome, rounds: int, writers: int) -> tuple[int, int]:
    name, path, seed = of
    added, done = 0, 0
    jobs = []
    contexts = []
    try:
        for writer in range(writers):
            context = nest.job("tests.torture.race:write", name, str(path), writer, rounds, seed)
            contexts.append(context)
            jobs.append(context.__enter__())
        for writer, job in enumerate(jobs):
            try:
                result: dict[str, Any] = job.result(120 + rounds * 2)
                added += result["added"]
                done += result["saves"]
                outcome.blame(f"writer {writer}", result["wrong"])
            except JobFailed as failure:
                outcome.blame(f"writer {writer}", [str(failure)])
    finally:
        for context in contexts:
            context.__exit__(None, None, None)
    return done, added


def write(report: Report, name: str, path: str, writer: int, rounds: int, seed: int) -> dict[str, Any]:
    """One writer: save some of the blobs, now and then add one to a counter by compare-and-swap."""
    del report
    return anyio.run(_write, subject(name), Path(path), writer, rounds, seed, backend=BACKENDS[writer % 2])


async def _write(kind: Subject, path: Path, writer: int, rounds: int, seed: int) -> dict[str, Any]:
    dice = random.Random(f"{seed} writer {writer}")
    wrong: list[str] = []
    added = 0
    async with kind.open(path) as store:
        for number in range(rounds):
            chosen = [blob(dice.randrange(BLOBS)) for _ in range(dice.randrange(1, 6))]
            try:
                saved = await store.save_blobs(chosen)
                if [one.key for one in saved] != [key_of(one) for one in chosen]:
                    wrong.append(f"save {number} returned wrong keys")
                if number % 4 == 0:
                    await _add_one(kind, store, f"counter/{dice.randrange(COUNTERS)}")
                    added += 1
                if number % 9 == 0 and bytes(await store.load(saved[0].key)) != chosen[0]:
                    wrong.append(f"save {number} reads back wrong")
            except Exception as error:  # noqa: BLE001 - no error is right here
                wrong.append(f"save {number}: {type(error).__name__}: {error}")
                if len(wrong) > 3:
                    break
    return {"added": added, "saves": rounds, "wrong": wrong}


async def _add_one(kind: Subject, store: Store, name: str) -> None:
    while True:
        try:
            old = await store.names.get(name)
        except kind.complaints.no_name:
            try:
                await store.names.put_if_absent(name, {"count": 1})
            except kind.complaints.conflict:
                continue
            return
        try:
            await store.names.replace(name, {"count": old.doc["count"] + 1}, old.version)
        except kind.complaints.conflict:
            continue
        return


def judge(report: Report, name: str, path: str, added: int) -> list[str]:
    """All blobs there, nothing counted twice or lost, verify content, nothing left over."""
    del report
    kind = subject(name)
    return anyio.run(_judge, kind, Path(path), added) + [f"left over: {file}" for file in kind.leftovers(Path(path))]


async def _judge(kind: Subject, path: Path, added: int) -> list[str]:
    wrong: list[str] = []
    async with kind.open(path) as store:
        for number in range(BLOBS):
            wanted = blob(number)
            if not await store.contains(key_of(wanted)):
                await store.save_blobs([wanted])  # nobody drew it
            if bytes(await store.load(key_of(wanted))) != wanted:
                wrong.append(f"blob {number} reads back wrong")
        total = 0
        for number in range(COUNTERS):
            try:
                total += (await store.names.get(f"counter/{number}")).doc["count"]
            except kind.complaints.no_name:
                continue
        if total != added:
            wrong.append(f"{added - total} of {added} updates were lost")
        wrong += [f"verify complains: {one}" for one in await kind.verify(store)]
    return wrong
