"""Errors of packhouse that are Metaflow's, too: Metaflow prints their sentence, where it would print a traceback."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from packhouse.errors import PackhouseError

__all__ = ["for_metaflow", "telling"]


@contextmanager
def telling() -> Iterator[None]:
    """Let errors of packhouse leave a block, or a function it decorates, as `for_metaflow` makes them."""
    try:
        yield
    except PackhouseError as error:
        told = for_metaflow(error)
        if told is error:
            raise
        raise told from error


def for_metaflow(error: PackhouseError) -> PackhouseError:
    """Return an error of the same class and kind that is a `MetaflowException`, too.

    No `DataException`: Metaflow's `get` would answer with the default.
    """
    from metaflow.exception import MetaflowException  # noqa: PLC0415 - only where Metaflow is

    if isinstance(error, MetaflowException):
        return error
    told = _both(type(error))(*error.args, kind=error.kind, errno=error.errno)
    told.args = error.args  # Metaflow's constructor drops them
    vars(told).update(vars(error), message=str(error), line_no=None, source_file=None)
    return told


def _both(ours: type[PackhouseError]) -> type[PackhouseError]:
    from metaflow.exception import MetaflowException  # noqa: PLC0415 - as above

    def reduce(self: PackhouseError) -> tuple[Any, ...]:
        _, arguments, state = ours.__reduce__(self)
        return _again, (ours, arguments, state)

    namespace = {"__module__": ours.__module__, "__reduce__": reduce, "headline": "Data store error"}
    return type(ours.__name__, (ours, MetaflowException), namespace)


def _again(ours: type[PackhouseError], arguments: tuple[Any, ...], state: dict[str, Any]) -> PackhouseError:
    error = ours(*arguments)
    vars(error).update({name: value for name, value in state.items() if name != "errno"})
    error.errno = state["errno"]
    return for_metaflow(error)
