"""What runs in forked processes: writers that are killed, and checkers that look at what they left."""

from __future__ import annotations

import resource
import signal
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import anyio

from tests.torture.contract import Store, Subject, subject
from tests.torture.nest import Report
from tests.torture.oracle import Claims, check_claims
from tests.torture.workload import Batch, batch, key_of, pieces


async def perform(store: Store, work: Batch) -> None:
    """Save one batch; when this returns it is acknowledged."""
    if work.kind == "names":
        await store.names.put(work.name, work.doc)
    elif work.kind == "stream":
        await store.save_stream(pieces(work.blobs[0]))
    else:
        saved = await store.save_blobs(list(work.blobs))
        if [one.key for one in saved] != work.keys:
            raise AssertionError("save_blobs returned wrong keys")


def write(report: Report, name: str, path: str, seed: int, numbers: list[int], kinds: list[str] | None = None) -> int:
    """Save batches until killed, telling before and after each."""

    async def run() -> None:
        async with subject(name).open(Path(path)) as store:
            report.line(opened=True)
            for n in numbers:
                work = batch(seed, n, kinds[n % len(kinds)] if kinds else "")
                report.line(begin=n)
                start = time.perf_counter()
                await perform(store, work)
                report.line(ack=n, took=time.perf_counter() - start)
            report.line(closing=True)

    anyio.run(run)
    return len(numbers)


def write_on_signal(report: Report, name: str, path: str, seed: int, numbers: list[int], kinds: list[str]) -> int:
    """The same, but wait for SIGUSR1 first, so that a tracer can take hold."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    report.line(ready=True)
    signal.sigwait({signal.SIGUSR1})
    return write(report, name, path, seed, numbers, kinds)


def check(
    report: Report,
    name: str,
    path: str,
    claims: list[dict[str, Any]],
    leftovers: bool,
) -> list[str]:
    """Reopen and hold the store against the claims; then write once, close, and look for leftovers."""
    del report
    where, kind = Path(path), subject(name)
    wrong = anyio.run(_check, kind, where, [Claims.from_json(one) for one in claims])
    if not leftovers:
        return wrong
    return wrong + [f"left over after reopening and a first write: {file}" for file in kind.leftovers(where)]


async def _check(kind: Subject, where: Path, claims: list[Claims]) -> list[str]:
    wrong: list[str] = []
    async with kind.open(where) as store:
        for one in claims:
            wrong += await check_claims(kind, store, one)
        fresh = f"first write after {claims[0]}".encode()
        try:
            await store.save_blobs([fresh])
            same = bytes(await store.load(key_of(fresh))) == fresh
        except kind.complaints.any as error:
            wrong.append(f"the first write after reopening failed, {type(error).__name__}: {error}")
        else:
            wrong += [] if same else ["the first blob saved after reopening reads back wrong"]
    return wrong


def attempt_on_signal(
    report: Report, name: str, path: str, seed: int, numbers: list[int], kinds: list[str]
) -> list[str]:
    """Open, wait for SIGUSR1, then save and say what became of each batch."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})

    async def run() -> list[str]:
        kind = subject(name)
        report.line(ready=True)
        signal.sigwait({signal.SIGUSR1})
        try:
            async with kind.open(Path(path)) as store:
                return await attempt(kind, store, seed, numbers, report, kinds)
        except (kind.complaints.any, OSError):
            return []  # opening or closing may fail by what is forged

    return anyio.run(run)


def save_all(report: Report, name: str, path: str, seed: int, numbers: list[int], kinds: list[str]) -> list[str]:
    """Save and say what became of each batch."""

    async def run() -> list[str]:
        kind = subject(name)
        async with kind.open(Path(path)) as store:
            return await attempt(kind, store, seed, numbers, report, kinds)

    return anyio.run(run)


def save_under_limit(report: Report, name: str, path: str, seed: int, numbers: list[int], limit: int) -> list[str]:
    """Save with a bound on the size of a file: writes fall short, then fail."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    said: list[str] = []

    async def run() -> None:
        kind = subject(name)
        async with kind.open(Path(path)) as store:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
            said.extend(await attempt(kind, store, seed, numbers, report))
            resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    anyio.run(run)
    return said


async def attempt(
    kind: Subject, store: Store, seed: int, numbers: Iterable[int], report: Report, kinds: list[str] | None = None
) -> list[str]:
    """Save batches; tell which were acknowledged, refused or uncertain, and complain of foreign exceptions."""
    foreign = []
    for n in numbers:
        report.line(begin=n)
        try:
            await perform(store, batch(seed, n, kinds[n % len(kinds)] if kinds else ""))
        except kind.complaints.uncertain:
            report.line(uncertain=n)
        except kind.complaints.any as error:
            report.line(refused=n, why=f"{type(error).__name__}: {error}")
        except Exception as error:  # noqa: BLE001 - that is the finding
            report.line(refused=n, why=f"{type(error).__name__}: {error}")
            if not isinstance(error, OSError):
                foreign.append(f"batch {n} failed with {type(error).__name__}, outside the store's tree: {error}")
        else:
            report.line(ack=n)
    return foreign
