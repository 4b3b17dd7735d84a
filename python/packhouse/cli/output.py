"""What a command prints: JSON lines for programs, short lines for people."""

from __future__ import annotations

import errno
import os
import sys
from typing import Any

__all__ = ["OutputError", "bytes_text", "count_text", "emit_json", "emit_line", "flush", "json_line", "note", "write"]


class OutputError(OSError):
    """Standard output cannot be written to: nothing is said of the store by that."""


def emit_json(document: dict[str, Any]) -> None:
    """Print one document on one line and hand it on at once: what is printed has happened."""
    write(json_line(document))
    flush()


def json_line(document: dict[str, Any]) -> bytes:
    r"""Write one document as a line of JSON; a file name that is not UTF-8 has its odd bytes as text, `\xff`."""
    import orjson

    return orjson.dumps(_legible(document)) + b"\n"


def _legible(value: object) -> object:
    if isinstance(value, dict):
        return {name: _legible(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_legible(each) for each in value]
    if isinstance(value, str):
        return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return value


def emit_line(line: str) -> None:
    """Print one line and hand it on at once; a file name that is not UTF-8 is printed as its bytes."""
    write(_encoded(line) + b"\n")
    flush()


def _encoded(line: str) -> bytes:
    try:
        return os.fsencode(line)
    except UnicodeEncodeError:  # a locale that cannot say it: █, ✓, a name
        return line.encode("utf-8", "surrogateescape")


def write(content: bytes) -> None:
    """Hand raw bytes on, all of them.

    Raises:
        OutputError: standard output takes no more.
    """
    view = memoryview(content)
    try:
        while view:
            view = view[_taken(sys.stdout.buffer.write(view)) :]
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def _taken(count: int | None) -> int:
    """Return how much was taken: without a buffer of Python's it may be less than all, or None, for nothing."""
    if count is None:
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return count


def flush() -> None:
    """Hand on at once what was written.

    Raises:
        OutputError: standard output takes no more.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        raise OutputError(error.errno, error.strerror) from error


def note(line: str) -> None:
    """Tell a person something; whoever reads standard output does not see it, and a pipe hears nothing."""
    if sys.stderr.isatty():
        sys.stderr.write(line + "\n")


def bytes_text(count: float) -> str:
    """Write a number of bytes for people: 999 B, 1.5 KiB, 23.4 GiB."""
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if abs(count) < 1024 or unit == "TiB":
            return f"{count:.0f} B" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    raise AssertionError


def count_text(count: int, noun: str) -> str:
    """Write a count with its noun: 1 file, 12,345 files."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"
