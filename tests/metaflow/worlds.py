"""Metaflow as a user has it: flows run in processes of their own, in an empty folder, with the drop-in or without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FLOWS = Path(__file__).parent / "flows"
ROOT = Path(__file__).resolve().parents[2]
_VENVS = ROOT / ".venv-metaflow"
HUNDRED = ("--max-workers", "4", "--max-num-splits", "200")
"""What `wide`, whose foreach is of a hundred tasks, is run with."""


@dataclass(frozen=True)
class World:
    """A Python with a Metaflow, and a folder it keeps its datastore in.

    Attributes:
        folder: the working folder; the datastore is `.metaflow` in it.
        drop_in: whether the drop-in is switched on.
        python: the interpreter.
    """

    folder: Path
    drop_in: bool = True
    python: Path = Path(sys.executable)
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def root(self) -> Path:
        """The datastore."""
        return self.folder / ".metaflow"

    @property
    def environment(self) -> dict[str, str]:
        """The environment: nothing of the user's own Metaflow, nothing that calls home."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("METAFLOW", "PYTHON"))}
        return kept | {
            "METAFLOW_HOME": str(self.folder),
            "METAFLOW_USER": "tester",
            "USERNAME": "tester",
            "METAFLOW_DATASTORE_SYSROOT_LOCAL": str(self.folder),
            "METAFLOW_PACKHOUSE": "1" if self.drop_in else "0",
            "METAFLOW_CLIENT_CACHE_PATH": str(self.folder / "client-cache"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.extra,
        }

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start Python with these arguments."""
        return subprocess.Popen(
            [str(self.python), *command],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def call(self, *command: str, fails: bool = False) -> str:
        """Run Python with these arguments to its end; what it said."""
        self.folder.mkdir(parents=True, exist_ok=True)
        process = self.start(*command)
        said, _ = process.communicate(timeout=300)
        assert (process.returncode != 0) == fails, said
        return said

    def flow(self, name: str, *arguments: str, fails: bool = False) -> str:
        """Run a flow of `flows/`."""
        return self.call(str(FLOWS / f"{name}.py"), "--no-pylint", *(arguments or ("run",)), fails=fails)

    def ask(self, program: str) -> Any:
        """Run a program that prints one JSON document as its last line."""
        lines = self.call("-c", program).strip().splitlines()
        return json.loads(lines[-1])


def packed(folder: Path, **extra: str) -> World:
    """A user of `--datastore packhouse`: the store is `.packhouse` in the folder."""
    return World(folder, extra={"METAFLOW_DEFAULT_DATASTORE": "packhouse", **extra})


def stock(folder: Path) -> World:
    """A second environment: the same Metaflow, in which nobody installed the drop-in or packhouse."""
    return World(folder, python=_VENVS / "stock" / "bin" / "python")


def oldest(folder: Path, *, drop_in: bool = True) -> World:
    """The oldest Metaflow that is supported, with the drop-in: the page says why it is that one."""
    python = _VENVS / "oldest" / "bin" / "python"
    return World(folder, drop_in=drop_in, python=python, extra={"WIDE_ANY_ORDER": "1"})


def lean(world: World) -> World:
    """The same, with only those of Metaflow's plugins that local flows use: each of many tasks starts sooner.

    It is a deployment's configuration file in the folder, so every world of the folder has it.
    """
    world.folder.mkdir(parents=True, exist_ok=True)
    (world.folder / "config.json").write_text(
        json.dumps({f"METAFLOW_ENABLED_{kind}": of for kind, of in _LEAN.items()})
    )
    return world


_LEAN: dict[str, list[str]] = {
    "CLI": ["package", "card", "tag"],
    "STEP_DECORATOR": ["catch", "retry", "card"],
    "FLOW_DECORATOR": ["project"],
    "ENVIRONMENT": ["conda"],
    "METADATA_PROVIDER": ["local"],
    "SIDECAR": [],
    "SECRETS_PROVIDER": [],
    "DEPLOYER_IMPL_PROVIDER": [],
    "TL_PLUGIN": [],
}


EVERYTHING = """
import hashlib, json, pickle
from metaflow import Flow, namespace
namespace(None)
told = {}
for run in Flow(%r):
    for step in run:
        for task in step:
            told[task.pathspec] = {
                "successful": task.successful,
                "artifacts": {a.id: hashlib.sha1(pickle.dumps(a.data, 4)).hexdigest() for a in task},
            }
print(json.dumps(told))
"""
"""Loads every artifact of every task of a flow through the Client API."""
