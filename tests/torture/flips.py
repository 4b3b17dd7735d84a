"""Row 5: every bit of every stored file flipped, every truncation: noticed by verify, never believed by a read."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import anyio

from tests.torture.contract import Store, Subject, subject
from tests.torture.damage import cut, flip, restored
from tests.torture.nest import Nest, Report
from tests.torture.outcome import ENOUGH, Outcome
from tests.torture.places import scratch_folder
from tests.torture.workload import key_of

NAME, DOC = "a name", {"what": "a small document", "n": [1, 2, 3]}
AT_ONCE = 2
Case = tuple[str, str, int]
"""File, `flip` or `cut`, bit or length."""


def blobs(name: str) -> list[bytes]:
    """Few bytes on disk, and of every shape: tiny, raw, compressed, cut into many chunks."""
    dice = random.Random(5)
    many_chunks = bytes(range(256)) * (80_000 if name == "packhouse" else 8)  # which compresses to nearly nothing
    return [b"", b"tiny", dice.randbytes(900), b"text " * 300, many_chunks, dice.randbytes(2_000)]


def run(name: str, *, rounds: int, seed: int = 5) -> Outcome:
    """Try `rounds` evenly spread single damages; 0 tries all."""
    outcome = Outcome(5)
    with outcome.timed(), Nest() as nest, scratch_folder() as folder:
        nest.call("tests.torture.flips:build", name, str(folder / "0"))
        store = folder / "0"
        cases = _cases([(file.relative_to(store), file.stat().st_size) for file in subject(name).precious(store)])
        if rounds:
            step = max(1, len(cases) // rounds)
            cases = cases[seed % step :: step]
        outcome.notes.append(f"{sum(file.stat().st_size for file in subject(name).precious(store))} bytes stored")
        for other in range(1, AT_ONCE):
            shutil.copytree(store, folder / str(other))
        for start in range(0, len(cases), 2_000):
            part = cases[start : start + 2_000]
            outcome.rounds += len(part)
            _try(nest, name, folder, part, outcome)
            if outcome.hopeless:
                break
    return outcome


def _cases(files: list[tuple[Path, int]]) -> list[Case]:
    flips = [(str(file), "flip", bit) for file, size in files for bit in range(size * 8)]
    cuts = [(str(file), "cut", length) for file, size in files for length in range(size)]
    return flips + cuts


def _try(nest: Nest, name: str, folder: Path, part: list[Case], outcome: Outcome) -> None:
    with (
        nest.job("tests.torture.flips:suffer", name, str(folder / "0"), part[0::2]) as one,
        nest.job("tests.torture.flips:suffer", name, str(folder / "1"), part[1::2]) as two,
    ):
        for job in (one, two):
            outcome.violations += job.result(1200)


def build(report: Report, name: str, path: str) -> None:
    """Make the small store."""
    del report

    async def run() -> None:
        async with subject(name).open(Path(path)) as store:
            for part in (blobs(name)[:4], blobs(name)[4:]):
                await store.save_blobs(part)
            await store.names.put(NAME, DOC)

    anyio.run(run)


def suffer(report: Report, name: str, path: str, cases: list[Case]) -> list[str]:
    """Do each damage, look, undo it."""
    del report
    wrong: list[str] = []
    kind, wanted = subject(name), {key_of(blob): blob for blob in blobs(name)}

    async def run() -> None:
        for where, what, number in cases:
            file = Path(path) / where
            with restored(file):
                (flip if what == "flip" else cut)(file, number)
                found = await _look(kind, Path(path), wanted)
            wrong.extend(f"{where} {what} {number}: {one}" for one in found)
            if len(wrong) >= ENOUGH:
                return

    anyio.run(run)
    return wrong


async def _look(kind: Subject, path: Path, wanted: dict[str, bytes]) -> list[str]:
    wrong: list[str] = []
    try:
        async with kind.open(path, mode="r") as store:
            wrong += await _reads(kind, store, wanted)
            try:
                if not await kind.verify(store):
                    wrong.append("not found by verify")
            except kind.complaints.any:
                pass
    except kind.complaints.any:
        pass  # it refuses to open: noticed
    except Exception as error:  # noqa: BLE001 - that is the finding
        wrong.append(f"{type(error).__name__}, outside the store's tree: {error}")
    return wrong


async def _reads(kind: Subject, store: Store, wanted: dict[str, bytes]) -> list[str]:
    wrong: list[str] = []
    for key, blob in wanted.items():
        try:
            if bytes(await store.load(key)) != blob:
                wrong.append(f"wrong bytes returned for a blob of {len(blob)}")
        except kind.complaints.missing:
            wrong.append(f"a blob of {len(blob)} bytes is denied instead of called damaged")
        except kind.complaints.any:
            pass
    try:
        if (await store.names.get(NAME)).doc != DOC:
            wrong.append("a name returned another document")
    except kind.complaints.no_name:
        wrong.append("a name is denied instead of called damaged")
    except kind.complaints.any:
        pass
    return wrong
