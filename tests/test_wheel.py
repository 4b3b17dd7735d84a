"""Whoever installs the wheel needs neither Rust nor this checkout. `make wheel` builds it and runs this."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

WHEELS = sorted((Path(__file__).resolve().parents[1] / "dist").glob("packhouse-*.whl"))
PROGRAM = """
import shutil, sys
assert shutil.which("cargo") is None, "this environment has Rust"
import packhouse.sync
with packhouse.sync.open("store") as store:
    saved = store.save_blobs([b"one", bytes(5_000_000)])
    assert [bytes(data) for _, data in store.load_blobs(saved)] == [b"one", bytes(5_000_000)]
assert ".venv" not in packhouse.__file__
"""


@pytest.mark.skipif(not WHEELS, reason="there is no wheel in dist/: `make wheel` builds one and runs this test")
@pytest.mark.timeout(300)
def test_the_wheel_works_in_a_fresh_environment_without_rust(tmp_path: Path) -> None:
    [wheel] = WHEELS
    assert "-abi3-" in wheel.name
    if sys.platform == "linux":
        assert re.search("manylinux_2_[0-9]+", wheel.name)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    folders = environment["PATH"].split(os.pathsep)
    environment["PATH"] = os.pathsep.join(folder for folder in folders if shutil.which("cargo", path=folder) is None)
    python: Path = tmp_path / "fresh" / "bin" / "python"
    commands: list[list[str | Path]] = [
        [sys.executable, "-m", "venv", tmp_path / "fresh"],
        [python, "-m", "pip", "install", "--quiet", wheel],
        [python, "-c", PROGRAM],
        [tmp_path / "fresh" / "bin" / "packhouse", "stat", "--store", "store"],
    ]
    for command in commands:
        subprocess.run(command, cwd=tmp_path, env=environment, check=True)
