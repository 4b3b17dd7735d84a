"""Write THIRD-PARTY.md, the licences of what the extension contains; `make wheel` runs it, a test holds it current."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

PAGE = Path(__file__).resolve().parents[1] / "THIRD-PARTY.md"
PLATFORM = "x86_64-unknown-linux-gnu"
NOT_OURS = ("Apache License", "GNU GENERAL PUBLIC LICENSE")
"""Texts that are left out: ours is in LICENSE, and of zstd's two its BSD licence is taken."""
HEAD = f"""# What is linked into packhouse

The extension in a wheel contains the Rust crates below ({PLATFORM}; other platforms differ in what speaks to
the system), the C sources that some of them bring (zstd, libdeflate), and Rust's standard library (MIT or Apache-2.0).
Where there is a choice Apache-2.0 is taken, whose text is in `LICENSE`, or else the one that is not the GPL. The texts
of the others follow, each once. Written by `python -m scripts.third_party`.
"""


def linked() -> list[dict[str, Any]]:
    """Ask cargo for the crates that the extension consists of, without ours and what only runs while it is built."""
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", PLATFORM]
    told = json.loads(subprocess.run(command, check=True, capture_output=True, cwd=PAGE.parent).stdout)
    crates = {crate["id"]: crate for crate in told["packages"]}
    needs = {node["id"]: node["deps"] for node in told["resolve"]["nodes"]}
    waiting = [name for name, crate in crates.items() if crate["name"] == "packhouse-bindings"]
    found: set[str] = set()
    while waiting:
        crate = waiting.pop()
        if crate in found or any("proc-macro" in target["kind"] for target in crates[crate]["targets"]):
            continue
        found.add(crate)
        waiting += [each["pkg"] for each in needs[crate] if any(kind["kind"] is None for kind in each["dep_kinds"])]
    foreign = [crates[crate] for crate in found if crates[crate]["source"] is not None]
    return sorted(foreign, key=lambda crate: str(crate["name"]))


def texts(crate: dict[str, Any]) -> list[str]:
    """Return the licences that lie in a crate and in the C sources it brings, but for those not taken."""
    folder = Path(crate["manifest_path"]).parent
    files = [file for name in ("LICEN*", "COPYING*", "NOTICE*", "UNLICENSE*") for file in folder.glob(f"**/{name}")]
    shallow = [file for file in files if file.is_file() and len(file.relative_to(folder).parts) <= 2]
    read = [
        "\n".join(line.rstrip() for line in file.read_text("utf-8").strip().splitlines()) for file in sorted(shallow)
    ]
    return [text for text in read if not any(title in text for title in NOT_OURS)]


def page() -> str:
    """Make the page: a table of crates, then each text with the crates it is of."""
    crates = linked()
    rows = [f"| {crate['name']} | {crate['version']} | {crate['license']} |" for crate in crates]
    owners: dict[str, list[str]] = {}
    for crate in crates:
        for text in texts(crate):
            owners.setdefault(text, []).append(crate["name"])
    parts = [f"## {', '.join(dict.fromkeys(names))}\n\n```text\n{text}\n```\n" for text, names in owners.items()]
    return "\n".join([HEAD, "| crate | version | licence |", "| --- | --- | --- |", *rows, "", *parts])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
