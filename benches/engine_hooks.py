"""Measurements that only the engine can make of itself; None where it offers none."""

from __future__ import annotations

import importlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_ROOT = Path(__file__).resolve().parents[1]
_LOOKUP_BENCH = _ROOT / "rust" / "engine" / "benches" / "lookup.rs"


def _hook(name: str) -> Callable[..., Any] | None:
    try:
        engine = importlib.import_module("packhouse._engine")
    except ImportError:
        return None
    found: Callable[..., Any] | None = getattr(engine, name, None)
    return found


def cut_seconds(blobs: Sequence[bytes]) -> float | None:
    """Tell how long the engine's cutter takes over the blobs on one thread (`_engine.bench_cut(blob) -> seconds`)."""
    hook = _hook("bench_cut")
    return None if hook is None else sum(float(hook(blob)) for blob in blobs)


def lookups(folder: Path, *, chunks: int, segments: int) -> dict[str, float] | None:
    """Measure look-ups on a generated index.

    By `_engine.bench_lookups(folder, chunks, segments, batch, threads) -> dict` where it exists, else by the Rust bench
    `lookup`, whose last line of output is a JSON object. Either tells `lookups_per_second`, and may tell
    `open_seconds` and `peak_bytes`.
    """
    hook = _hook("bench_lookups")
    if hook is not None:
        told: dict[str, float] = dict(hook(str(folder), chunks, segments, 1_000, 2))
        return told
    if not _LOOKUP_BENCH.exists() or shutil.which("cargo") is None:
        return None
    command = ["cargo", "bench", "-q", "-p", "packhouse-engine", "--bench", "lookup", "--"]
    command += [str(folder), str(chunks), str(segments)]
    ended = subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True)
    measured: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return measured
