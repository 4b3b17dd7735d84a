"""Row 19: how much memory one huge blob takes, saved from a stream and read back as one, under the kernel's limit."""

from __future__ import annotations

import random
import resource
from collections.abc import Iterator
from pathlib import Path

import anyio

from tests.torture.contract import subject
from tests.torture.nest import JobFailed, Nest, Report
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder

ABOVE_IDLE = 128 << 20
MARGIN = 96 << 20
"""What is only reserved, not used: stacks of threads, 8 MiB each, and arenas of the C library."""
PIECE = 1 << 20


def run(name: str, *, rounds: int, seed: int = 19) -> Outcome:
    """One blob of `rounds` MiB (4096 are 4 GiB)."""
    outcome = Outcome(19, rounds=rounds)
    with outcome.timed(), Nest() as nest, scratch_folder(durable=True) as folder:
        try:
            saved, loaded = nest.call(
                "tests.torture.memory:measure", name, str(folder / "s"), rounds, seed, timeout=60 + rounds // 2
            )
        except JobFailed as failure:
            outcome.violations.append(str(failure))
            return outcome
    outcome.notes.append(f"{rounds} MiB: save {saved >> 20} MiB, load {loaded >> 20} MiB above idle")
    for what, peak in (("saving", saved), ("loading", loaded)):
        if peak > ABOVE_IDLE:
            outcome.violations.append(f"{what} {rounds} MiB took {peak >> 20} MiB above idle")
    return outcome


def pieces(count: int, seed: int) -> Iterator[bytes]:
    """Bytes that neither compress nor repeat, without keeping them."""
    dice = random.Random(seed)
    for _ in range(count):
        yield dice.randbytes(PIECE)


def measure(report: Report, name: str, path: str, count: int, seed: int) -> tuple[int, int]:
    """The peaks above idle, in bytes: while saving, while loading."""
    del report
    return anyio.run(_measure, name, Path(path), count, seed)


async def _measure(name: str, path: Path, count: int, seed: int) -> tuple[int, int]:
    kind = subject(name)
    async with kind.open(path) as store:
        (warm,) = await store.save_blobs([bytes(100_000)])
        await store.load(warm.key)
        idle = _status("VmRSS")
        # Whatever asks for more gets none, and the job ends in a MemoryError or an abort: both are violations.
        limit = _status("VmData") + ABOVE_IDLE + MARGIN
        resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
        _forget_peak()
        saved = await store.save_stream(pieces(count, seed))
        save_peak = _status("VmHWM") - idle
        _forget_peak()
        expected = pieces(count, seed)
        async with kind.open_read(store, saved.key) as file:
            rest = b""
            for piece in expected:
                while len(rest) < PIECE and (part := await file.read(PIECE)):
                    rest += bytes(part)
                if rest[:PIECE] != piece:
                    raise AssertionError("wrong bytes were read")
                rest = rest[PIECE:]
            if rest or await file.read(1):
                raise AssertionError("more bytes were read than were saved")
        return save_peak, _status("VmHWM") - idle


def _status(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) << 10
    raise AssertionError(f"no {field} in /proc/self/status")


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")
