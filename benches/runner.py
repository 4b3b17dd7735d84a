"""Run the tasks, each in a process of its own: limits, ours and peers side by side in every round."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from benches import cases, disk, machine, peers
from benches.task import Outcome, Task

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence

    from benches.cases.contract import Case
    from benches.scale import Scale

_ROOT = Path(__file__).resolve().parents[1]
_REST = 3
"""After many small files were deleted, the disk gets so many times the usual patience."""
_LAST = 300
"""Characters to keep of what a dead worker printed."""


@dataclass(frozen=True)
class Plan:
    """What is asked for."""

    scale: Scale
    cases: Sequence[str]
    peers: Sequence[str]
    peers_by_name: bool
    """Whether the peers were named by the user: then even cases of ours alone run on them."""
    variants: str
    """Only variants that contain this text."""
    scratch: Path
    done: Collection[tuple[str, str, str, int]] = ()
    """What an interrupted run has measured already (`Task.what`)."""

    def rounds_of(self, case: Case) -> int:
        return min(self.scale.rounds, case.rounds or self.scale.rounds)

    def variants_of(self, case: Case) -> list[str]:
        return [variant for variant in case.variants(self.scale) if not variant or self.variants in variant]

    def peers_of(self, case: Case) -> list[str]:
        """Tell who takes part: the machine first, then ours, then the others."""
        chosen = [name for name in self.peers if self.peers_by_name or not case.ours_alone or name == peers.OURS]
        if case.only is not None:
            chosen = [name for name in chosen if name in case.only]
        elif not self.peers_by_name:
            chosen = [name for name in chosen if name not in (peers.DROP_IN, peers.PACKED, *peers.BUCKETS)]
        if case.inside:
            chosen = [name for name in chosen if not peers.find(name).outside]
        if case.limit is None or not chosen:
            return chosen
        return [peers.MACHINE, *chosen]


def run(plan: Plan) -> Iterator[Outcome]:
    """Carry out a plan, and tell each outcome as it comes."""
    disk.warm(plan.scratch, plan.scale.warm_bytes, plan.scale.warm_memory)
    disk.spread(plan.scratch)
    commit = machine.commit()
    for name in plan.cases:
        case = cases.find(name)
        for variant in plan.variants_of(case):
            for outcome in _run_variant(plan, case, variant):
                yield replace(outcome, commit=commit)


def _run_variant(plan: Plan, case: Case, variant: str) -> Iterator[Outcome]:
    spent: dict[str, float] = {}
    out: set[str] = set()
    many_files = case.many_files(variant)
    for number in range(plan.rounds_of(case)):
        for peer in plan.peers_of(case):
            if peer in out or (number and spent.get(peer, 0.0) > plan.scale.peer_seconds):
                continue
            task = Task(case.name, variant, peer, number, plan.scale.name, "")
            if task.what in plan.done:
                continue
            outcome = _run_task(plan, task)
            spent[peer] = spent.get(peer, 0.0) + outcome.seconds
            if outcome.error is not None:
                out.add(peer)
            if not many_files:
                _clear(plan.scratch)
            yield outcome
    _clear(plan.scratch)
    if many_files:
        disk.settle(plan.scratch, patience_seconds=_REST * plan.scale.settle_seconds)


def _clear(scratch: Path) -> None:
    for path in scratch.iterdir():
        if path.is_dir():
            shutil.rmtree(path)


def _run_task(plan: Plan, task: Task) -> Outcome:
    # By its name, ext4 chooses the place: a new one for each.
    name = f"{task.case}-{task.variant.replace('/', '-')}-{task.round}-{task.peer}-{secrets.token_hex(4)}"
    folder = plan.scratch / name
    folder.mkdir()
    task = Task(task.case, task.variant, task.peer, task.round, task.scale, str(folder))
    disk.settle(plan.scratch, patience_seconds=plan.scale.settle_seconds)
    command = [sys.executable, "-m", "benches.worker", task.to_json()]
    start = time.perf_counter()
    worker = subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        answer, noise = worker.communicate(timeout=plan.scale.timeout_seconds)
    except subprocess.TimeoutExpired:
        _end(worker)
        return Outcome(task, time.perf_counter() - start, error=f"over {plan.scale.timeout_seconds:.0f} s")
    except BaseException:
        _end(worker)
        raise
    seconds = time.perf_counter() - start
    # Some peers' threads abort when the interpreter ends; what was measured before stands. Ours may not.
    if worker.returncode == 0 or (answer and task.peer != peers.OURS):
        return Outcome.from_answer(task, seconds, answer)
    last = " ".join(noise.split())[-_LAST:]  # it died without an answer: the end of what it printed
    return Outcome(task, seconds, error=f"ended with {worker.returncode}: {last}".replace(str(plan.scratch), "…"))


def _end(worker: subprocess.Popen[str]) -> None:
    """End a worker and the processes it started."""
    os.killpg(worker.pid, signal.SIGKILL)
    worker.communicate()
