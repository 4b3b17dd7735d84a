"""Row 15: attack files are loaded through every door that does not ask for pickles; no code may run."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

import anyio

import packhouse
from packhouse.names import Document
from packhouse.tasks import FlowDataStore
from packhouse.tasks.layout import DATA, DONE, TaskId
from tests.torture.attacks import attack_files
from tests.torture.outcome import Outcome
from tests.torture.places import scratch_folder

TAGS: tuple[Any, ...] = (
    "pickle-v5", "pickle-v5-buffers", "pickle-v4", "gzip+pickle-v2", "gzip+pickle-v4", "npy", "safetensors", "arrow",
    "pandas-arrow", "json", "str", "bytes", "dill", "joblib", "torch", "", None, ["pickle-v5"],
)  # fmt: skip
COMMANDS = (("show", "Flow/1/step/1"), ("show", "--json", "Flow/1/step/1"), ("ls", "-l"), ("verify",), ("runs",))


def run(name: str, *, rounds: int) -> Outcome:
    """Load at most `rounds` files, all with 0, by every tag a record may claim; then through the command line.

    `naive:trusting` loads as if the caller had asked for pickles: what this harness is there to find.
    """
    outcome = Outcome(15)
    trust: Literal["pickle"] | None = "pickle" if name == "naive:trusting" else None
    with outcome.timed(), scratch_folder() as folder:
        sentinel = folder / "code ran"
        files = dict(list(attack_files(sentinel).items())[: rounds or None])
        anyio.run(_through_python, folder / "store", files, sentinel, trust, outcome)
        if name == "packhouse":
            _through_commands(folder / "store", sentinel, outcome)
        outcome.rounds += len(files)
    return outcome


async def _through_python(
    path: Path, files: dict[str, bytes], sentinel: Path, trust: Literal["pickle"] | None, outcome: Outcome
) -> None:
    async with packhouse.open(path) as store:
        saved = dict(zip(files, await store.save_blobs(list(files.values())), strict=True))
        task = TaskId("Flow", "1", "step", "1")
        claims = {
            f"{kind} as {tag}": (blob.key, {"size": blob.size, "type": "x", "encoding": tag})
            for kind, blob in saved.items()
            for tag in TAGS
        }
        record: dict[str, dict[str, Any]] = {
            "objects": {name: key for name, (key, _) in claims.items()},
            "info": {name: info for name, (_, info) in claims.items()},
        }
        documents = [Document(task.file("attempt.json", 0), {"value": {"time": 0}})]
        documents += [Document(task.file(DATA, 0), {"value": record}), Document(task.file(DONE, 0), {"value": ""})]
        await store.names.put_many(documents)
        await store.names.put_many(
            Document(f"name of {kind}", {"kind": "tree", "key": blob.key, "size": 1}) for kind, blob in saved.items()
        )
        opened = await FlowDataStore("Flow", ds_root=store, trust=trust).get_task_datastore("1", "step", "1")
        for name in record["objects"]:
            if outcome.hopeless:
                return
            with suppress(Exception):
                await opened[name]
            _look(sentinel, f"loading {name}", outcome)
        for kind, blob in saved.items():
            await store.load(blob)
            with suppress(packhouse.PackhouseError):
                await store.restore_tree(blob, path.parent / "restored")
            _look(sentinel, f"a blob or tree: {kind}", outcome)
        with suppress(packhouse.PackhouseError):
            await opened.format()
        _look(sentinel, "format", outcome)


def _through_commands(path: Path, sentinel: Path, outcome: Outcome) -> None:
    command = str(Path(sys.executable).parent / "packhouse")
    for arguments in COMMANDS:
        subprocess.run([command, *arguments, "--store", str(path)], capture_output=True, timeout=300, check=False)
        _look(sentinel, f"packhouse {arguments[0]}", outcome)


def _look(sentinel: Path, where: str, outcome: Outcome) -> None:
    if sentinel.exists():
        sentinel.unlink()
        outcome.violations.append(f"code ran: {where}")
