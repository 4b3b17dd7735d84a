"""Row 4: whatever became of a pack or an index file, saving the blobs again makes them readable."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import anyio

from tests.torture.contract import Store, Subject, subject
from tests.torture.damage import DAMAGES
from tests.torture.nest import JobFailed, Nest, Report
from tests.torture.oracle import Claims
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder
from tests.torture.workload import batch

KINDS = ["mixed", "large", "edited", "stream", "again"]
"""`edited` is the next version of `large`: a pack of that one holds only inner chunks of this one."""
LOOKS = ("read", "verify", "check")
"""What makes flipped bits noticed before or while saving again."""


def run(name: str, *, rounds: int, seed: int = 4) -> Outcome:
    """Damage every stored file of a small store in every way; at most `rounds` of them, all with 0."""
    outcome = Outcome(4)
    with outcome.timed(), Nest() as nest, scratch_folder() as folder:
        start = folder / "start"
        nest.call("tests.torture.jobs:write", name, str(start), seed, list(range(len(KINDS))), KINDS)
        files = [file.relative_to(start) for file in subject(name).precious(start)]
        cases = [
            (file, damage, look)
            for file in files
            if file.parts[0] in ("packs", "index", "blobs")
            for damage in DAMAGES
            for look in (LOOKS if damage.startswith("flipped") else ("",))
        ]
        random.Random(seed).shuffle(cases)
        for file, damage, look in cases[: rounds or None]:
            if outcome.hopeless:
                break
            outcome.rounds += 1
            where = f"{_room(file)} {damage}" + (f", noticed by {look}" if look else "")
            outcome.blame(where, _one(nest, name, start, folder / "store", file, damage, look, seed))
    return outcome


def _room(file: Path) -> str:
    return "/".join(file.parts[:-1]) + "/" + file.name[:8] + "…"


def _one(nest: Nest, name: str, start: Path, path: Path, file: Path, damage: str, look: str, seed: int) -> list[str]:
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(start, path)
    DAMAGES[damage](path / file)
    try:
        wrong: list[str] = nest.call("tests.torture.heal:save_again", name, str(path), seed, look)
    except JobFailed as failure:
        return [f"saving again failed: {failure}"]
    claims = Claims(seed, acked=list(range(len(KINDS))), kinds=KINDS)
    # Leftovers are not asked about: what a damaged index file no longer names may lie there.
    return wrong + nest.check(name, path, [claims.to_json()], leftovers=False)


def save_again(report: Report, name: str, path: str, seed: int, look: str) -> list[str]:
    """Notice the damage as asked, then save every blob again."""
    del report
    return anyio.run(_save_again, subject(name), Path(path), seed, look)


async def _save_again(kind: Subject, path: Path, seed: int, look: str) -> list[str]:
    wrong = []
    async with kind.open(path) as store:
        if look == "verify" and not await kind.verify(store):
            wrong.append("verify found nothing")
        # The edited version before the one it was made of, which would heal the chunks of both.
        for n, wanted in reversed([*enumerate(KINDS)]):
            work = batch(seed, n, wanted)
            if look == "read":
                wrong += await _read_all(kind, store, work.keys, list(work.blobs))
            saved = await store.save_blobs(list(work.blobs), check=look == "check")
            if [one.key for one in saved] != work.keys:
                wrong.append("saving again returned other keys")
    return wrong


async def _read_all(kind: Subject, store: Store, keys: list[str], blobs: list[bytes]) -> list[str]:
    for key, blob in zip(keys, blobs, strict=True):
        try:
            if bytes(await store.load(key)) != blob:
                return ["wrong bytes were returned"]
        except kind.complaints.any:
            continue
    return []
