"""The standard streams of a process that a shell may have closed, or sent to a full disk."""

from __future__ import annotations

import os
import sys

__all__ = ["drop_output", "fill_gaps", "tell"]


def fill_gaps() -> None:
    """Give `/dev/null` the numbers of standard streams that are closed, before a file of the store gets them.

    `sys.stdin` stays None then: who was to be read is missing, and that is told.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the lowest number that is free: this one
    sys.stdout = sys.stdout or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open to the end
    sys.stderr = sys.stderr or open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 - open to the end


def drop_output() -> None:
    """Let standard output lead nowhere where it takes no more, so that the interpreter's end does not try again."""
    try:
        sys.stdout.flush()
    except OSError:
        _empty(sys.stdout.fileno())


def tell(line: str) -> None:
    """Write a line to standard error; where nobody can be told anything any more, nobody is."""
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except OSError:
        _empty(sys.stderr.fileno())


def _empty(number: int) -> None:
    """Let a stream lead nowhere from now on."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, number)
    os.close(nowhere)
