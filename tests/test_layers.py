"""Rooms of the package import what is below them, never what is above: who needs a part gets no more than that."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1] / "python" / "packhouse"
BASE = {"errors", "together", "turns", "urls"}
STORE = BASE | {"_engine", "files", "objects", "blobs", "names", "trees"}  # of the last three each knows the others
MAY = {
    "errors": set[str](),
    "together": set[str](),
    "turns": set[str](),
    "urls": {"errors"},
    "files": BASE,
    "objects": BASE | {"_engine"},  # its checksums
    "blobs": STORE,
    "names": STORE,
    "trees": STORE,
    "copying": STORE,
    "tasks": STORE | {"packhouse"},
    "sync": STORE | {"copying", "tasks", "packhouse"},
    "compat": STORE | {"tasks", "sync", "packhouse"},
    "cli": STORE | {"copying", "tasks", "sync", "compat", "packhouse"} - {"_engine"},
    "__init__": STORE | {"copying"} - {"_engine"},
}


def imported(body: list[ast.stmt]) -> Iterator[str]:
    """Tell the rooms that code imports, in functions too; what only a type checker reads is left out."""
    for statement in body:
        match statement:
            case ast.If(test=ast.Name(id="TYPE_CHECKING")):
                yield from imported(statement.orelse)
            case ast.ImportFrom(module="packhouse"):
                yield from (alias.name if alias.name in {*MAY, *STORE} else "packhouse" for alias in statement.names)
            case ast.ImportFrom(module=str(module)) if module.split(".")[0] == "packhouse":
                yield f"{module}.packhouse".split(".")[1]
            case ast.Import():
                for alias in statement.names:
                    if alias.name.split(".")[0] == "packhouse":
                        yield f"{alias.name}.packhouse".split(".")[1]
            case _:
                for name in ("body", "orelse", "finalbody", "handlers", "cases"):
                    yield from imported(getattr(statement, name, []))


def test_imports_go_down_and_never_up() -> None:
    rooms: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        room = path.relative_to(ROOT).parts[0].removesuffix(".py")
        rooms.setdefault(room, set()).update(imported(ast.parse(path.read_text("utf-8")).body))
    assert set(rooms) == set(MAY)
    assert {room: found - MAY[room] - {room} for room, found in rooms.items() if found - MAY[room] - {room}} == {}
