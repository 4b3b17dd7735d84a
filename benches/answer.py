"""Keep a child process's answer apart from whatever a library prints."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

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
