"""Measurements that only the engine can make of itself, by its Rust benches; None where they were not built.

`build` compiles them once, before anything is measured; the workers then run what it built.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parents[1]
_BENCHES = ("cut", "index", "bucket", "names")
_BUILT = "engine-benches.json"


def build(scratch: Path) -> str | None:
    """Compile the Rust benches and note in `scratch` where they are; tells why not where that fails."""
    if shutil.which("cargo") is None:
        return "no cargo on the path"
    command = ["cargo", "bench", "-p", "packhouse-engine", "--no-run", "--message-format", "json"]
    for name in _BENCHES:
        command += ["--bench", name]
    ended = subprocess.run(command, cwd=_ROOT, check=False, capture_output=True, text=True)
    if ended.returncode != 0:
        return (ended.stderr.strip().splitlines() or ["cargo failed"])[-1]
    built: dict[str, str] = {}
    for line in ended.stdout.splitlines():
        message: dict[str, Any] = json.loads(line)
        if message.get("executable") and message["target"]["name"] in _BENCHES:
            built[message["target"]["name"]] = message["executable"]
    (scratch / _BUILT).write_text(json.dumps(built))
    return None


def cut_seconds_a_byte(scratch: Path, sample: bytes) -> float | None:
    """Tell how long the engine's cutter takes over the bytes, on one thread."""
    path = scratch / "to-cut"
    path.write_bytes(sample)
    told = _run(scratch, "cut", str(path))
    path.unlink()
    return None if told is None else told["seconds"] / told["bytes"]


def lookups(scratch: Path, folder: Path, *, chunks: int) -> dict[str, float] | None:
    """Generate an index of so many chunks in a folder, and measure look-ups in it."""
    return _run(scratch, "index", str(chunks), folder=folder)


def flat_names(scratch: Path, folder: Path, *, names: int) -> dict[str, float] | None:
    """Make so many names under one prefix in a folder, and measure a scan of them."""
    return _run(scratch, "names", str(names), folder=folder)


def cold_bucket(scratch: Path, folder: Path, *, chunks: int) -> dict[str, float] | None:
    """Generate the index of a bucket with so many chunks in a folder, and count what new handles ask of it."""
    return _run(scratch, "bucket", str(chunks), folder=folder)


def _run(scratch: Path, name: str, *arguments: str, folder: Path | None = None) -> dict[str, float] | None:
    """Run a Rust bench; its last line is a JSON object."""
    try:
        built: dict[str, str] = json.loads((scratch / _BUILT).read_text())
    except FileNotFoundError:
        return None
    environment = {**os.environ, "PACKHOUSE_BENCH_DIR": str(folder or scratch)}
    ended = subprocess.run([built[name], *arguments], check=True, capture_output=True, text=True, env=environment)
    told: dict[str, float] = json.loads(ended.stdout.strip().splitlines()[-1])
    return told
