"""What the documentation shows works: every block of every page, every example, every link inside."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from importlib import import_module
from inspect import signature
from pathlib import Path

import pytest

from packhouse.tasks import FlowDataStore
from scripts import errors_table
from tests.docs_page import RUNNABLE, blocks_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")] + sorted(
    (ROOT / "docs").rglob("*.md")
)
EXAMPLES = sorted(path for path in (ROOT / "examples").glob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def run(arguments: list[str], folder: Path, **more: str) -> None:
    folder.mkdir(exist_ok=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PACKHOUSE_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    environment |= {"PYTHONPATH": os.pathsep.join((str(ROOT), environment.get("PYTHONPATH", ""))), **more}
    command = [sys.executable, "-W", "error", *arguments]
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_code_copied_from_a_page_works(page: Path, tmp_path: Path) -> None:
    blocks = list(blocks_of(page.read_text("utf-8")))
    assert not any(block.unclear for block in blocks), (
        "a shell block is run as `console`, or says `<!-- not run: why -->`"
    )
    if any(block.language in RUNNABLE and block.excuse is None for block in blocks):
        run(["-m", "tests.docs_page", str(page)], tmp_path / "reader")


@pytest.mark.parametrize("example", EXAMPLES, ids=name_of)
def test_an_example_runs_as_it_is(example: Path, tmp_path: Path) -> None:
    run([str(example)], tmp_path / "reader")


def test_the_demo_runs(tmp_path: Path) -> None:
    run(["-m", "examples.demo", "--folder", str(tmp_path / "demo"), "--megabytes", "5", "--rounds", "2"], tmp_path)


def test_the_page_of_errors_lists_every_kind() -> None:
    path = ROOT / "docs" / "errors.md"
    text = path.read_text("utf-8")
    assert errors_table.page(text) == text, "run `python -m scripts.errors_table`"


def test_commands_without_a_language_are_commands_too() -> None:
    page = "```\nmake bench\n```\n\n```\nstore.json\n```\n\n<!-- not run: takes an hour -->\n```\nmake bench\n```\n"
    assert [block.unclear for block in blocks_of(page)] == [True, False, False]


def targets() -> list[tuple[str, str]]:
    """Find what the pages of the reference are generated from."""
    pages = sorted((ROOT / "docs" / "reference").glob("*.md"))
    return [
        (page.name, name)
        for page in pages
        for name in re.findall(r"^::: ([\w.]+)$", page.read_text("utf-8"), re.MULTILINE)
    ]


@pytest.mark.parametrize(("page", "name"), targets())
def test_the_reference_is_of_what_is_there_and_says_what_it_is(page: str, name: str) -> None:
    found = import_module(name)
    assert found.__doc__, f"{page}: {name} says nothing of itself"
    for public in found.__all__:
        assert getattr(found, public) is not None, f"{name}.{public}"


def test_every_page_of_the_reference_is_found_and_says_what_is_public() -> None:
    site, stability = ((ROOT / name).read_text("utf-8") for name in ("mkdocs.yml", "docs/stability.md"))
    assert targets()
    for page, name in targets():
        assert f": reference/{page}\n" in site
        assert f"`{name}`" in stability


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```|`[^`\n]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text) + re.findall(r'(?:src|href)="([^"]+)"', text):
        if "://" in target or target.startswith("#"):
            continue
        path, _, _anchor = target.partition("#")
        assert (page.parent / path).exists(), f"{name_of(page)} links to {target}"


def test_the_security_page_says_who_reads_pickles() -> None:
    default = signature(FlowDataStore).parameters["trust"].default
    assert f'`trust="{default}"` is its default' in (ROOT / "SECURITY.md").read_text("utf-8")
