"""Which method works in which mode: the rules of Metaflow, told in one place."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Concatenate, Literal, ParamSpec, TypeAlias, TypeVar, cast

from packhouse.errors import InvalidInput

__all__ = ["TaskMode", "needs", "only_if_not_done"]

TaskMode: TypeAlias = Literal["r", "w", "d"]
"""`"r"`: read a task; `"w"`: write an attempt; `"d"`: remove what must not stay."""

P = ParamSpec("P")
T = TypeVar("T")


S = TypeVar("S")


def needs(mode: TaskMode) -> Callable[[Callable[Concatenate[S, P], T]], Callable[Concatenate[S, P], T]]:
    """Refuse a call in another mode, at the call, for coroutines and iterators, too."""

    def guarding(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
        @wraps(method)
        def guarded(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
            task = cast("Any", self)
            if task.mode != mode:
                message = f"{_named(method)} needs a task opened with mode {mode!r}, this one has {task.mode!r}"
                raise InvalidInput(message, kind="task-mode")
            return method(self, *args, **kwargs)

        return cast("Callable[Concatenate[S, P], T]", guarded)

    return guarding


def only_if_not_done(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], T]:
    """Refuse a call after `done` of this object."""

    @wraps(method)
    def guarded(self: S, *args: P.args, **kwargs: P.kwargs) -> T:
        if cast("Any", self).is_done:
            raise InvalidInput(f"{_named(method)} after done(): what is done does not change", kind="task-done")
        return method(self, *args, **kwargs)

    return cast("Callable[Concatenate[S, P], T]", guarded)


def _named(method: Callable[..., Any]) -> str:
    return getattr(method, "__name__", "this method")
