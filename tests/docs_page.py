"""Run one page of the documentation the way a reader would: `python -m tests.docs_page PAGE` in an empty folder.

- ```` ```python ```` blocks of a page share one namespace; `await` works at the top level, as in `python -m asyncio`.
- ```` ```console ```` blocks: each line after `$ ` is run by bash; the lines below it are what must come out;
  `…` stands for anything inside a line, a line of `…` for any number of lines.
- A block below `<!-- not run: why -->` is left alone. Blocks in other languages are not code of ours.
"""

from __future__ import annotations

import ast
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio

_BLOCK = re.compile(
    r"^(?:<!-- not run: (?P<excuse>[^\n]+) -->\n\n?)?"
    r"^(?P<indent> *)```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^(?P=indent)```$",
    re.MULTILINE | re.DOTALL,
)
RUNNABLE = {"python", "console"}
_COMMAND = re.compile(r"^(?:\$ )?(?:make|python|packhouse|pip|cargo|export|npm) ", re.MULTILINE)
SHELLS = {"sh", "bash", "shell", "py"}


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: what it is written in, its code, the line it begins at, why it is not run."""

    language: str
    code: str
    line: int
    excuse: str | None

    @property
    def unclear(self) -> bool:
        """Whether it looks like commands to type, and neither is run nor says why not."""
        commands = self.language in SHELLS or (not self.language and _COMMAND.search(self.code) is not None)
        return commands and self.excuse is None


def blocks_of(text: str) -> Iterator[Block]:
    """Find the fenced blocks of a page, in order."""
    for found in _BLOCK.finditer(text):
        code = inspect.cleandoc("\n" + found["code"]) + "\n"
        line = text.count("\n", 0, found.start("code")) + 1
        yield Block(found["language"], code, line, found["excuse"])


def run_console(block: Block, page: Path) -> None:
    """Run the commands of a console block and compare what they print with what the page says."""
    for step in re.split(r"^\$ ", block.code, flags=re.MULTILINE)[1:]:
        command, _, expected = step.partition("\n")
        done = subprocess.run(["bash", "-euo", "pipefail", "-c", command], capture_output=True, text=True, check=False)
        printed = done.stdout + done.stderr
        promised = re.search(r"^# exit code (\d+)$", expected, re.MULTILINE)
        code = int(promised[1]) if promised else 0
        expected = re.sub(r"^# exit code \d+\n", "", expected, flags=re.MULTILINE)
        where = f"{page}:{block.line}: $ {command}\n"
        assert done.returncode == code, f"{where}exit code {done.returncode}\n{printed}"
        assert not expected.strip() or pattern_of(expected).fullmatch(printed.rstrip() + "\n"), f"{where}{printed}"


def pattern_of(expected: str) -> re.Pattern[str]:
    """Turn expected output into a pattern: `…` is anything inside a line, alone on a line any number of lines."""
    lines = []
    for line in expected.rstrip().splitlines():
        if line.strip() == "…":
            lines.append("(?:.*\n)*")
        else:
            lines.append(
                "".join(re.escape(part) if part != "…" else ".*" for part in re.split("(…)", line.rstrip())) + " *\n"
            )
    return re.compile("".join(lines))


async def run_python(block: Block, page: Path, names: dict[str, object]) -> None:
    """Run a Python block in the page's namespace; tracebacks name the page and its line."""
    source = "\n" * (block.line - 1) + block.code
    code = compile(source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if code.co_flags & inspect.CO_COROUTINE:
        await eval(code, names)
    else:  # a plain script, which may run a loop of its own
        await anyio.to_thread.run_sync(exec, code, names)


async def run_page(page: Path, blocks: list[Block]) -> None:
    """Run a whole page from top to bottom."""
    names: dict[str, object] = {"__name__": "__page__"}
    for block in blocks:
        if block.excuse is not None:
            continue
        if block.language == "python":
            await run_python(block, page, names)
        elif block.language == "console":
            await anyio.to_thread.run_sync(run_console, block, page)


def main(page: Path) -> None:
    """Read a page and run it."""
    anyio.run(run_page, page, list(blocks_of(page.read_text("utf-8"))))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
