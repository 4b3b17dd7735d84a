"""Installing the drop-in can never stop Metaflow, and it can be switched off."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

from tests.metaflow.worlds import World, oldest

WHICH = """
import json
from metaflow.datastore.content_addressed_store import BlobCache, ContentAddressedStore
print(json.dumps(hasattr(ContentAddressedStore, "_elsewhere")))
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
    said = subprocess.run(
        [sys.executable, "-c", WHICH], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
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


def test_it_is_found_beside_a_second_extension(tmp_path: Path) -> None:
    other = tmp_path / "site" / "metaflow_extensions" / "other" / "toplevel"
    other.mkdir(parents=True)
    (other / "mfextinit_other.py").write_text("toplevel = 'names'\n")
    (other / "names.py").write_text("answer = 42\n__version__ = '1'\n")
    info = tmp_path / "site" / "other_extension-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-extension\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("metaflow_extensions\n")
    inside = "metaflow_extensions/other/toplevel"
    (info / "RECORD").write_text(f"{inside}/mfextinit_other.py,,\n{inside}/names.py,,\n")
    world = replace(World(tmp_path), extra={"PYTHONPATH": str(tmp_path / "site")})
    assert world.ask(WHICH) is True
    assert world.ask("import json, metaflow\nprint(json.dumps(metaflow.answer))") == 42


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
