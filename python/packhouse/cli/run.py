"""From a command's coroutine to an exit code: errors become one sentence, never a traceback."""

from __future__ import annotations

import os
import sys
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import typer

from packhouse.cli.output import json_line

if TYPE_CHECKING:
    from packhouse.errors import InvalidInput

__all__ = ["DAMAGE", "FAILED", "INTERRUPTED", "NOT_FOUND", "REFUSED", "UNCERTAIN", "run", "usage"]

FAILED = 1
NOT_FOUND = 3
DAMAGE = 4
REFUSED = 5
UNCERTAIN = 6
INTERRUPTED = 130
_USAGE = 2
_READER_LEFT = 141


def run(command: Callable[[], Awaitable[None]], *, as_json: bool = False) -> None:
    """Run a command to its end.

    Args:
        command: what to do.
        as_json: write an error as a JSON document instead of a sentence.

    Raises:
        typer.Exit: it failed; the exit code says how, the sentence is written.
    """
    import anyio

    from packhouse.errors import PackhouseError

    try:
        anyio.run(command)
    except KeyboardInterrupt:
        _complain("interrupted: what was printed is durable", "interrupted", as_json=as_json)
        raise typer.Exit(INTERRUPTED) from None
    except BrokenPipeError:
        # Whoever read our output has left; the interpreter must not try to flush the rest.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_READER_LEFT) from None
    except PackhouseError as error:
        _complain(str(error), error.kind, as_json=as_json)
        raise typer.Exit(_code_of(error)) from None
    except OSError as error:
        _complain(str(error), "file", as_json=as_json)
        raise typer.Exit(FAILED) from None


def usage(message: str) -> InvalidInput:
    """Make the error for a command line that makes no sense: exit code 2."""
    from packhouse.errors import InvalidInput

    return InvalidInput(message, kind="option")


def _code_of(error: Exception) -> int:
    """Choose the exit code of an error; the table stands in the package's docstring and in the documentation."""
    from packhouse import errors

    codes: tuple[tuple[tuple[type[Exception], ...], int], ...] = (
        ((errors.BlobNotFound, errors.NameNotFound, errors.StoreNotFound), NOT_FOUND),
        ((errors.CorruptBlob,), DAMAGE),
        ((errors.CommitUncertain,), UNCERTAIN),
        ((errors.InvalidInput,), _USAGE),
        ((errors.NameConflict, errors.ReadOnlyStore, errors.UnsupportedStore), REFUSED),
    )
    return next((code for classes, code in codes if isinstance(error, classes)), FAILED)


def _complain(message: str, kind: str, *, as_json: bool) -> None:
    if as_json:
        sys.stderr.write(json_line({"error": {"kind": kind, "message": message}}).decode())
    else:
        sys.stderr.write(f"packhouse: {message}\n")
