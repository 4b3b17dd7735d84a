"""Build the extension once with the feature `mutants`, beside the real one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from tests.mutants.python import PLANTS
from tests.torture.nest import ROOT

T = TypeVar("T")
R = TypeVar("R")

SITE = ROOT / "target" / "mutants" / "site"


def why_not() -> str | None:
    """Why the build cannot be made; `None` when it can."""
    if shutil.which("cargo") is None:
        return "cargo is not installed"
    if "mutants" not in (ROOT / "rust" / "bindings" / "Cargo.toml").read_text():
        return "the bindings have no feature `mutants`"
    return None


def build() -> None:
    """Build a wheel and unpack it; cargo does nothing when nothing has changed."""
    out = ROOT / "target" / "mutants" / "wheel"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", "maturin", "build", "--quiet", "--features", "mutants", "--out", str(out)]
    subprocess.run(command, cwd=ROOT, check=True, env=_environment())
    (wheel,) = out.glob("*.whl")
    shutil.rmtree(SITE, ignore_errors=True)
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(SITE)


def _environment() -> dict[str, str]:
    return {**os.environ, "CARGO_TARGET_DIR": str(ROOT / "target" / "mutants" / "cargo")}


def planted_names() -> set[str]:
    """The names that the sources know."""
    found = set()
    for file in (ROOT / "rust").rglob("*.rs"):
        found |= {part.split('"')[0] for part in file.read_text().split('planted("')[1:]}
    return found | PLANTS.keys()


def hunting(mutant: str) -> dict[str, str]:
    """The environment of a hunt."""
    return {**os.environ, "PYTHONPATH": os.pathsep.join([str(SITE), str(ROOT)]), "PACKHOUSE_MUTANT": mutant}


def side_by_side(work: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Call it for each, as many at once as there are processors; results come in the order of the items.

    Most of a hunt is processes that are killed and disks that are synced: two at once take little longer than one.
    """
    with ThreadPoolExecutor(os.cpu_count()) as threads:
        yield from threads.map(work, items)


def engine_tests(mutant: str, only: str) -> bool:
    """Run the engine's own tests with a bug planted; true when one of them failed."""
    command = ["cargo", "test", "--quiet", "-p", "packhouse-engine", "--features", "mutants"]
    command += ["--lib", "--test", "store", only]
    environment = {**_environment(), "PACKHOUSE_MUTANT": mutant}
    built = subprocess.run([*command, "--no-run"], cwd=ROOT, env=environment, capture_output=True, check=False)
    if built.returncode != 0:
        raise RuntimeError(built.stderr.decode(errors="replace")[-1500:])
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=False).returncode != 0


def tests_fail(mutant: str, only: str) -> bool:
    """Run tests of the Python suite with a bug planted; true when one of them failed."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-x",
        "-n",
        "0",
        "-p",
        "tests.mutants.plugin",
        "--timeout",
        "0",
        only,
    ]
    done = subprocess.run(command, cwd=ROOT, env=hunting(mutant), capture_output=True, check=False, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError(f"{only} broke: {done.stdout[-1500:]}")
    return done.returncode == 1


def row_fails(mutant: str, row: str, rounds: int) -> tuple[bool, str]:
    """Run a row with a bug planted; whether it failed, and what it said first."""
    command = [sys.executable, "-m", "tests.torture", row, "--rounds", str(rounds)]
    done = subprocess.run(command, cwd=ROOT, env=hunting(mutant), capture_output=True, check=False, text=True)
    violations = [line.strip() for line in done.stdout.splitlines() if "VIOLATED" in line]
    if done.returncode not in (0, 1) or (done.returncode == 1 and not violations):
        raise RuntimeError(f"row {row} broke: {done.stderr[-1500:]}")
    return done.returncode == 1, (violations or ["nothing"])[0][:160]


def path_of_extension() -> Path:
    """The built extension, for who wants to look."""
    return next(SITE.rglob("_engine*.so"))
