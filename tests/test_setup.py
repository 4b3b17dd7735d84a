"""A fresh machine is told what it lacks, wherever the checkout lies, and what is written down twice agrees."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


def tell(script: str, tools: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Run a script of ours where nothing but these tools is found."""
    shell = shutil.which("sh")
    assert shell is not None
    return subprocess.run(
        [shell, f"scripts/{script}", *arguments],
        cwd=ROOT,
        env={"PATH": str(tools), **more},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def tools(tmp_path: Path) -> Path:
    """A folder with what every system has, and nothing that we need."""
    folder = tmp_path / "tools"
    folder.mkdir()
    for name in ("sed", "cut", "sort", "head"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def put_tool(tools: Path, name: str, body: str) -> None:
    (tools / name).write_text(f"#!/bin/sh\n{body}\n")
    (tools / name).chmod(0o755)


def test_a_machine_without_rust_is_told_what_to_install(tools: Path) -> None:
    done = tell("need-rust.sh", tools)
    assert (done.returncode, done.stdout) == (1, "")
    assert "cargo was not found" in done.stderr
    assert "rustup" in done.stderr


def test_an_old_rust_and_missing_parts_are_told(tools: Path) -> None:
    put_tool(tools, "cargo", 'echo "cargo 1.60.0 (x)"')
    done = tell("need-rust.sh", tools)
    assert (done.returncode, "this is cargo 1.60.0" in done.stderr, "rustup update" in done.stderr) == (1, True, True)
    put_tool(tools, "cargo", 'case "$1" in fmt) exit 1;; *) echo "cargo 9.0.0";; esac')
    done = tell("need-rust.sh", tools)
    assert (done.returncode, "a C compiler is needed" in done.stderr) == (1, True)
    put_tool(tools, "cc", "exit 0")
    done = tell("need-rust.sh", tools, "fmt", "clippy")
    assert (done.returncode, "component add rustfmt" in done.stderr) == (1, True)
    assert tell("need-rust.sh", tools, "clippy").returncode == 0


def test_an_old_python_is_passed_over_and_told(tools: Path) -> None:
    put_tool(tools, "python3", "exit 1")  # what it says when it is asked whether it is 3.11
    done = tell("find-python.sh", tools)
    assert (done.returncode, done.stdout) == (1, "")
    assert "Python 3.11 or newer" in done.stderr
    put_tool(tools, "python3", 'case "$2" in *venv*) exit 1;; esac')
    done = tell("find-python.sh", tools)
    assert (done.returncode, "python3-venv" in done.stderr) == (1, True)
    put_tool(tools, "python3.12", "exit 0")
    assert tell("find-python.sh", tools).stdout == "python3.12\n"
    put_tool(tools, "mine", "exit 0")
    assert tell("find-python.sh", tools, PYTHON="mine").stdout == "mine\n", "the one that was named comes first"


def test_a_checkout_may_lie_in_a_folder_with_a_space_and_a_wheel_is_tested_where_the_package_is(tmp_path: Path) -> None:
    place = tmp_path / "my projects"
    place.mkdir()
    needed = "Makefile Cargo.toml Cargo.lock pyproject.toml rust scripts packhouse-metaflow tests"
    for name in needed.split():
        (place / name).symlink_to(ROOT / name)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
    done = subprocess.run(["make", "-n", "wheel"], cwd=place, env=kept, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.index("maturin develop") < done.stdout.index("tests/test_wheel.py")
    quoted = f'PATH="${{PATH#{place}/.venv/bin:}}"'
    assert str(place) not in done.stdout.replace(quoted, ""), "unquoted, it is two words"


def test_the_extra_all_is_all_extras() -> None:
    extras = PROJECT["optional-dependencies"]
    assert sorted(extras["all"]) == sorted(each for name, needed in extras.items() if name != "all" for each in needed)


def test_the_licences_of_what_a_wheel_contains_are_of_the_versions_it_contains() -> None:
    text = (ROOT / "THIRD-PARTY.md").read_text("utf-8")
    told = set(re.findall(r"^\| ([\w-]+) \| (\d[\w.+-]*) \|", text, re.MULTILINE))
    locked = tomllib.loads((ROOT / "Cargo.lock").read_text("utf-8"))["package"]
    assert told - {(crate["name"], crate["version"]) for crate in locked} == set(), "python -m scripts.third_party"
    assert {"zstd-sys", "libdeflate-sys", "blake3", "pyo3"} <= {name for name, _ in told}
    assert "Meta Platforms" in text
    assert "Eric Biggers" in text
    assert "THIRD-PARTY.md" in PROJECT["license-files"]
    companion = ROOT / "packhouse-metaflow"
    assert (companion / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert "](.." not in (companion / "README.md").read_text("utf-8"), "dead once it is packaged"
