"""`python -m benches`: measure, print, write the raw results and the picture."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from benches import cases, engine_hooks, machine, peers, runner
from benches.report import picture, publish, readme, table
from benches.results import Results
from benches.scale import SCALES

if TYPE_CHECKING:
    from benches.task import Outcome

_RESULTS = Path("bench-results")


def main() -> int:
    """Run what the command line asks for; 1 where a measurement failed."""
    asked = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 160)
    if asked.show is not None:
        results = Results.read(asked.show)
        outcomes = results.outcomes
    else:
        results = _measure(asked, console)
        outcomes = results.outcomes
        console.print(f"raw results: {asked.json}")
    table.show(results, console)
    if asked.svg is not None:
        try:
            picture.write(results, asked.svg)
        except ValueError as error:
            console.print(f"no picture: {error}")
            return 1
        console.print(f"picture: {asked.svg}")
    if asked.readme is not None:
        readme.write(results, asked.readme)
        console.print(f"written into {asked.readme}")
    if asked.publish:
        for path in publish.write(results, Path()):
            console.print(f"written: {path}")
    if not outcomes:
        console.print("nothing was measured")
        return 1
    failed = [outcome for outcome in outcomes if outcome.error and not outcome.error.startswith("not offered")]
    return 1 if failed else 0


def _measure(asked: argparse.Namespace, console: Console) -> Results:
    absent = {name: reason for name in asked.peers or peers.NAMES if (reason := peers.why_not(name)) is not None}
    present = [name for name in asked.peers or peers.NAMES if name not in absent]
    asked.scratch.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=asked.scratch)).resolve()
    scale = SCALES[asked.scale]
    if asked.rounds is not None:
        scale = replace(scale, rounds=asked.rounds)
    earlier = Results.read(asked.json) if asked.resume and asked.json.exists() else None
    outcomes: list[Outcome] = [] if earlier is None else [one for one in earlier.outcomes if one.error is None]
    done = {outcome.task.what for outcome in outcomes if outcome.task.scale == scale.name}
    chosen = asked.cases or cases.NAMES
    plan = runner.Plan(scale, chosen, present, asked.peers is not None, asked.variants, scratch, done)
    packages = {} if earlier is None else dict(earlier.packages)
    packages |= {name: peers.find(name).version() for name in present}
    results = Results(scale.name, machine.describe(scratch), packages, absent, outcomes)
    try:
        if scale.builds_rust and (reason := engine_hooks.build(scratch)) is not None:
            console.print(f"the Rust benches are not built: {reason}")
        for outcome in runner.run(plan):
            _tell(outcome, console)
            outcomes.append(outcome)
            results.write(asked.json)  # after each: who stops an hour's run keeps what it has measured
    finally:
        shutil.rmtree(scratch)
    return results


def _tell(outcome: Outcome, console: Console) -> None:
    task = outcome.task
    said = outcome.error or ", ".join(f"{name} {value:,.5g}" for name, value in outcome.metrics.items())
    where = " ".join(part for part in (task.case, task.variant, f"#{task.round + 1}", task.peer) if part)
    console.print(f"{where} ({outcome.seconds:.1f} s): {said}", style="dim", highlight=False, soft_wrap=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches", description=__doc__)
    scale = parser.add_mutually_exclusive_group()
    for name, meaning in (("quick", "about three minutes"), ("tiny", "does it work at all; measures nothing")):
        scale.add_argument(f"--{name}", dest="scale", action="store_const", const=name, help=meaning)
    parser.set_defaults(scale="full")
    parser.add_argument("--cases", nargs="+", choices=cases.NAMES, help="only these")
    parser.add_argument("--peers", nargs="+", choices=peers.NAMES, help="only these")
    parser.add_argument("--variants", default="", metavar="TEXT", help="only data whose name holds this text")
    parser.add_argument("--rounds", type=int, help="how often each measurement is made")
    parser.add_argument(
        "--resume",
        action="store_true",
        help="go on with an interrupted run: what --json has is not measured again",
    )
    parser.add_argument("--json", type=Path, default=_RESULTS / "results.json", help="where the raw results go")
    parser.add_argument("--svg", type=Path, help="where the picture goes")
    parser.add_argument("--readme", type=Path, help="a README in which the figures are replaced")
    parser.add_argument("--publish", action="store_true", help="put a full run's figures into the repository's pages")
    parser.add_argument("--scratch", type=Path, default=_RESULTS, help="a folder on the disk to measure")
    parser.add_argument("--show", type=Path, metavar="JSON", help="measure nothing, show earlier results")
    asked = parser.parse_args()
    if asked.publish and asked.scale != "full":
        parser.error(f"--publish takes a full run, not a {asked.scale} one")
    return asked


if __name__ == "__main__":
    sys.exit(main())
