"""Installing the drop-in can never stop Metaflow, and it can be switched off."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tomllib
from dataclasses import replace
from importlib.metadata import distribution, version
from pathlib import Path

import pytest

import packhouse
from packhouse.compat.metaflow import INTERFACE
from tests.metaflow.worlds import ROOT, World, oldest

WHICH = """
import json
from metaflow.datastore.content_addressed_store import BlobCache, ContentAddressedStore
print(json.dumps(hasattr(ContentAddressedStore, "_elsewhere")))
"""


CARDS = """
import json
from metaflow.plugins.cards.card_datastore import CardDatastore
print(json.dumps(len(CardDatastore.__mro__) > 2))
"""


def test_it_is_active_where_it_is_installed_and_off_by_a_variable(tmp_path: Path) -> None:
    assert World(tmp_path).ask(WHICH) is True
    assert World(tmp_path, drop_in=False).ask(WHICH) is False
    assert oldest(tmp_path).ask(WHICH) is True
    assert oldest(tmp_path, drop_in=False).ask(WHICH) is False


def test_it_is_switched_off_in_metaflow_s_own_configuration(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"METAFLOW_PACKHOUSE": "0"}))
    environment = World(tmp_path).environment
    del environment["METAFLOW_PACKHOUSE"]
    for what in (WHICH, CARDS):
        assert World(tmp_path).ask(what) is True
        said = subprocess.run(
            [sys.executable, "-c", what], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
        )
        assert json.loads(said.stdout) is False


def test_a_native_part_that_does_not_load_leaves_metaflow_as_it_was_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "broken" / "packhouse").mkdir(parents=True)
    (tmp_path / "broken" / "packhouse" / "__init__.py").write_text("raise ImportError('wrong glibc')")
    world = replace(World(tmp_path), extra={"PYTHONPATH": str(tmp_path / "broken")})
    said = world.call("-c", WHICH)
    assert "inactive" in said
    assert "wrong glibc" in said
    assert said.strip().endswith("false")
    world.flow("linear", "run", "--size", "1000")
    strict = replace(world, extra={**world.extra, "PYTHONWARNINGS": "error::RuntimeWarning"})
    said = strict.call("-c", WHICH)
    assert "wrong glibc" in said, "said, although warnings are errors"
    assert said.strip().endswith("false")


def test_a_native_part_that_ends_the_process_is_not_loaded_where_it_is_switched_off(tmp_path: Path) -> None:
    (tmp_path / "broken" / "packhouse").mkdir(parents=True)
    (tmp_path / "broken" / "packhouse" / "__init__.py").write_text("import os\nos._exit(86)")
    world = replace(World(tmp_path, drop_in=False), extra={"PYTHONPATH": str(tmp_path / "broken")})
    assert world.ask(WHICH) is False
    assert world.ask(CARDS) is False
    assert "packhouse-metaflow is switched off" in world.flow("linear", "--datastore", "packhouse", "run", fails=True)


def test_metaflow_s_configuration_alone_keeps_packhouse_from_being_imported(tmp_path: Path) -> None:
    (tmp_path / "broken" / "packhouse").mkdir(parents=True)
    (tmp_path / "broken" / "packhouse" / "__init__.py").write_text("import os\nos._exit(86)")
    (tmp_path / ".metaflow").mkdir()
    environment = {**World(tmp_path).environment, "PYTHONPATH": str(tmp_path / "broken")}
    del environment["METAFLOW_PACKHOUSE"]
    ends = 86
    for everywhere, here, code in (
        ("0", None, 0),
        ("1", "off", 0),
        (None, "0", 0),
        ("0", "1", ends),
        (None, None, ends),
    ):
        for path, value in (("config.json", everywhere), (".metaflow/config.json", here)):
            (tmp_path / path).write_text(json.dumps({} if value is None else {"METAFLOW_PACKHOUSE": value}))
        command = [sys.executable, "-c", WHICH]
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout.strip()) == (code, "" if code else "false"), (
            everywhere,
            here,
            done.stderr,
        )


def _other_packhouse(folder: Path, *left_out: str) -> Path:
    """A copy of packhouse; where Python finds it."""
    here = Path(packhouse.__file__).parent
    other = folder / "other" / "packhouse"
    shutil.copytree(here, other, ignore=shutil.ignore_patterns(*left_out, "__pycache__", "*.so"))
    for native in here.glob("_engine*.so"):
        (other / native.name).symlink_to(native)
    return other.parent


def test_a_packhouse_that_is_older_than_the_extension_leaves_metaflow_as_it_was(tmp_path: Path) -> None:
    older = _other_packhouse(tmp_path, "packed")
    said = replace(World(tmp_path), extra={"PYTHONPATH": str(older)}).call("-c", WHICH)
    assert "inactive" in said
    assert "packed" in said
    assert said.strip().endswith("false")


def test_a_packhouse_with_another_interface_leaves_metaflow_as_it_was(tmp_path: Path) -> None:
    newer = _other_packhouse(tmp_path)
    module = newer / "packhouse" / "compat" / "metaflow" / "__init__.py"
    module.write_text(module.read_text() + f"\nINTERFACE = {INTERFACE + 1}\n")
    said = replace(World(tmp_path), extra={"PYTHONPATH": str(newer)}).call("-c", WHICH)
    assert f"its interface is {INTERFACE + 1}, not {INTERFACE}" in said
    assert said.strip().endswith("false")


def test_a_panic_of_the_native_part_leaves_metaflow_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "broken" / "packhouse").mkdir(parents=True)
    (tmp_path / "broken" / "packhouse" / "__init__.py").write_text(
        "class PanicException(BaseException): ...\nraise PanicException('as of pyo3')"
    )
    said = replace(World(tmp_path), extra={"PYTHONPATH": str(tmp_path / "broken")}).call("-c", WHICH)
    assert "inactive" in said
    assert said.strip().endswith("false")


def test_the_extension_asks_for_the_packhouse_it_was_made_with() -> None:
    project = tomllib.loads((ROOT / "packhouse-metaflow" / "pyproject.toml").read_text())["project"]
    assert project["version"] == version("packhouse")
    assert f"packhouse=={version('packhouse')}" in project["dependencies"]


@pytest.mark.parametrize("described", [True, False], ids=["as installed", "without top_level.txt"])
def test_it_is_found_beside_a_second_extension_in_the_same_folder(tmp_path: Path, described: bool) -> None:
    """Metaflow finds by path only what no installed extension of the same folder hides: `top_level.txt` is needed."""
    installed = distribution("packhouse-metaflow")
    [ours] = [Path(str(installed.locate_file(file))).parent for file in installed.files or () if file.name == "RECORD"]
    site = tmp_path / "site"
    site.mkdir()
    for entry in ours.parent.iterdir():  # all that is installed here but the extension
        if entry.name not in {"metaflow_extensions", ours.name, "__pycache__"} and entry.suffix != ".pth":
            (site / entry.name).symlink_to(entry)
    shutil.copytree(ours.parent / "metaflow_extensions", site / "metaflow_extensions")
    shutil.copytree(ours, site / ours.name)
    if not described:
        (site / ours.name / "top_level.txt").unlink()
    other = site / "metaflow_extensions" / "other" / "toplevel"
    other.mkdir(parents=True)
    (other / "mfextinit_other.py").write_text("toplevel = 'names'\n")
    (other / "names.py").write_text("answer = 42\n__version__ = '1'\n")
    info = site / "other_extension-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-extension\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("metaflow_extensions\n")
    inside = "metaflow_extensions/other/toplevel"
    (info / "RECORD").write_text(f"{inside}/mfextinit_other.py,,\n{inside}/names.py,,\n")
    path = os.pathsep.join([str(site), str(Path(packhouse.__file__).parents[1])])
    world = replace(World(tmp_path), extra={"PYTHONPATH": path})
    both = WHICH + "import metaflow\nprint(json.dumps([hasattr(ContentAddressedStore, '_elsewhere'), metaflow.answer]))"
    # -S: nothing of the environment's own packages, only those of `site`.
    assert json.loads(world.call("-S", "-c", both).strip().splitlines()[-1]) == [described, 42]


def test_it_says_once_that_it_is_active_and_only_at_debug_level(tmp_path: Path) -> None:
    program = """
import logging, sys
from pathlib import Path
logging.basicConfig(level=getattr(logging, sys.argv[1]), stream=sys.stdout)
from metaflow.datastore.content_addressed_store import ContentAddressedStore
from metaflow.plugins.datastores.local_storage import LocalStorage
for _ in range(3):
    store = ContentAddressedStore("Flow/data", LocalStorage("root"))
    [saved] = store.save_blobs(iter([b"x"]))
    list(store.load_blobs([saved.key]))
"""
    assert World(tmp_path).call("-c", program, "DEBUG").count("packhouse keeps the artifacts") == 1
    assert "packhouse" not in World(tmp_path).call("-c", program, "INFO")
