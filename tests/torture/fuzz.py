"""Row 17: the fuzzer of the Rust workspace, run for some CPU-seconds on each parser."""

from __future__ import annotations

import shutil
import subprocess

from tests.torture.nest import ROOT
from tests.torture.outcome import Outcome

SCRIPT = ROOT / "scripts" / "fuzz.sh"


def run(name: str, *, rounds: int, seed: int = 17) -> Outcome:
    """`rounds` CPU-seconds for each target; `rust/fuzz/tests` has the row in short."""
    outcome = Outcome(17, rounds=rounds)
    if rounds < 0:
        outcome.not_run = "it has to be built first: `make fuzz`"
    elif name != "packhouse":
        outcome.not_run = "the fuzzer feeds packhouse's parsers only"
    elif shutil.which("cargo") is None:
        outcome.not_run = "cargo is not installed"
    elif not SCRIPT.exists():
        outcome.not_run = f"{SCRIPT.relative_to(ROOT)} is missing"
    if outcome.not_run is not None:
        return outcome
    with outcome.timed():
        command = ["sh", str(SCRIPT), str(rounds), "--seed", str(seed)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, check=False, text=True, errors="replace")
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    if done.returncode != 0:
        outcome.violations.append(f"the fuzzer ended with {done.returncode}: " + " | ".join(said[-6:])[:1500])
    outcome.notes += said[-1:]
    return outcome
