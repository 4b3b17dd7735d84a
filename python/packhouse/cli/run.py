"""From a command's coroutine to an exit code: errors become one sentence, never a traceback."""

from __future__ import annotations

import errno
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import typer

from packhouse.cli.output import OutputError, flush, json_line
from packhouse.cli.streams import drop_output, tell

if TYPE_CHECKING:
    from packhouse.errors import InvalidInput

__all__ = ["DAMAGE", "FAILED", "INTERRUPTED", "NOT_FOUND", "REFUSED", "UNCERTAIN", "call", "run", "start", "usage"]

FAILED = 1
NOT_FOUND = 3
DAMAGE = 4
REFUSED = 5
UNCERTAIN = 6
INTERRUPTED = 130
_USAGE = 2
_READER_LEFT = 141
# typer may bring a click of its own or use the one that is installed: whichever it is, this is its base of refusals.
_REFUSED_BY_TYPER: Any = typer.BadParameter.__mro__[2]


def run(command: Callable[[], Awaitable[None]], *, as_json: bool = False) -> None:
    """Run a command to its end on an event loop.

    Args:
        command: what to do.
        as_json: write an error as a JSON document instead of a sentence.

    Raises:
        typer.Exit: it failed; the exit code says how, the sentence is written.
    """
    import anyio

    call(partial(anyio.run, command), as_json=as_json)


def call(command: Callable[[], None], *, as_json: bool = False) -> None:
    """Run a command that waits for nothing: on a loop Ctrl-C would only be seen where it waits.

    Args:
        command: what to do.
        as_json: write an error as a JSON document instead of a sentence.

    Raises:
        typer.Exit: it failed; the exit code says how, the sentence is written.
    """
    from packhouse.errors import PackhouseError

    try:
        command()
    except KeyboardInterrupt:
        raise typer.Exit(_interrupted(as_json=as_json)) from None
    except PackhouseError as error:
        _complain(str(error), error.kind, as_json=as_json)
        raise typer.Exit(_code_of(error)) from None
    except OSError as error:
        raise typer.Exit(_failed(error, as_json=as_json)) from None


def start(app: Callable[..., Any]) -> int:
    """Let typer read the command line and run what it says; return the exit code.

    What typer refuses is told as every error is: one sentence, a document where `--json` is among the arguments.
    """
    as_json = "--json" in sys.argv[1:]
    try:
        code: int = app(standalone_mode=False) or 0
        if code == 0:
            flush()
    except (KeyboardInterrupt, typer.Abort):
        return _interrupted(as_json=as_json)
    except _REFUSED_BY_TYPER as error:
        where = error.ctx.command_path if error.ctx is not None else "packhouse"
        if type(error).__name__ == "NoArgsIsHelpError":  # a bare `packhouse`: its message is the help
            error.show()
            return _USAGE
        sentence = " ".join(error.format_message().split()).rstrip(".")
        _complain(f"{sentence}; `{where} --help` says more", "option", as_json=as_json)
        return _USAGE
    except OSError as error:  # of what typer prints itself: help, the version
        return _failed(OutputError(error.errno, error.strerror), as_json=as_json)
    return code


def _interrupted(*, as_json: bool) -> int:
    drop_output()
    _complain("interrupted: what was printed is durable", "interrupted", as_json=as_json)
    return INTERRUPTED


def _failed(error: OSError, *, as_json: bool) -> int:
    """Tell what the system refused; that nobody takes our output any more says nothing of the store."""
    drop_output()
    if isinstance(error, BrokenPipeError) or error.errno == errno.EPIPE:
        return _READER_LEFT
    lost = isinstance(error, OutputError)
    _complain(f"cannot write to standard output: {error.strerror}" if lost else str(error), "io", as_json=as_json)
    return FAILED


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
        tell(json_line({"error": {"kind": kind, "message": message}}).decode())
    else:
        tell(f"packhouse: {message}\n")
