"""Keep a child process's answer apart from whatever a library prints."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

_LONGEST = 400

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def answering() -> Iterator[dict[str, object]]:
    """Give a dictionary to fill, written to stdout as JSON at the end; prints meanwhile go to stderr."""
    told: dict[str, object] = {}
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        yield told
        answer.write(json.dumps(told))
    finally:
        answer.close()


def in_one_line(error: BaseException, *, without: str) -> str:
    """Tell an error in one line: of a group the first, of several lines all, and never where the scratch folder is."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    said = " ".join(f"{type(error).__name__}: {error}".split()).replace(without, "…")
    return said if len(said) <= _LONGEST else f"{said[: _LONGEST - 2]} …"
