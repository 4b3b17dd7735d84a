"""An operation: one verb on objects, however many requests it takes. All of them together have one deadline.

Its clock runs while the service is waited for: not while a caller makes the next piece of a stream, or looks at a page
of a list.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Self

import anyio

from packhouse.objects.http.options import HttpOptions

__all__ = ["Allowance", "Operation", "current"]

_NAME = 4096
"""Bytes as which a name counts that is listed or deleted: 16 a second at the default `slowest`."""
_LAST_WORDS = 1 / 20
"""Of the deadline."""
_now: ContextVar[Operation | None] = ContextVar("packhouse-operation", default=None)


class Allowance:
    """The time that one request of an operation has, all its tries together.

    Args:
        operation: of which it is one.
        scope: ends it.
        left: seconds that it began with.
        size: bytes that it has the time for.
    """

    def __init__(self, operation: Operation, scope: anyio.CancelScope, left: float, size: int) -> None:
        self._operation = operation
        self._scope = scope
        self._size = size
        self.left = left

    def expect(self, size: int) -> None:
        """Give it the time that so many bytes take which are coming now, however often they begin to."""
        if size > self._size:
            self._scope.deadline += self._operation.allow(size - self._size)
            self._size = size


class Operation:
    """The time that a verb has.

    Args:
        options: its deadline, and the bytes a second that may be taken beyond it.
    """

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._left = options.deadline
        self._waiting = 0
        self._since = 0.0
        self.patience = options.deadline
        """Seconds that it has in all, as far as is known now."""

    def allow(self, size: int = 0, *, names: int = 0) -> float:
        """Give it the time that so many more bytes and names may take; return the seconds."""
        seconds = (size + names * _NAME) / self._options.slowest
        self._left += seconds
        self.patience += seconds
        return seconds

    def keep_last_words(self) -> None:
        """Leave a twentieth of the deadline to ask what became of a write, or to take it back, if no more is left."""
        self._left = max(self._left, self._options.deadline * _LAST_WORDS)

    @contextmanager
    def waiting(self) -> Iterator[float]:
        """Let the clock run, from now on or still; tells the seconds that are left."""
        self._run()
        self._waiting += 1
        try:
            yield max(0.0, self._left)
        finally:
            self._run()
            self._waiting -= 1

    @contextmanager
    def asking(self, size: int) -> Iterator[Allowance]:
        """Send one request of so many bytes while the clock runs.

        Raises:
            TimeoutError: no time is left.
        """
        self.allow(size)
        with self.waiting() as left, anyio.fail_after(left) as scope:
            yield Allowance(self, scope, left, size)

    async def pause(self, seconds: float) -> None:
        """Wait before the service is asked again, while there is time."""
        with self.waiting() as left:
            await anyio.sleep(min(seconds, left))

    @contextmanager
    def begun(self) -> Iterator[Self]:
        """Let every request within be one of it, those of tasks that are started within, too."""
        token = _now.set(self)
        try:
            yield self
        finally:
            _now.reset(token)

    def _run(self) -> None:
        now = anyio.current_time()
        if self._waiting:
            self._left -= now - self._since
        self._since = now


def current(options: HttpOptions) -> Operation:
    """Return the operation that a request is one of; one of its own, where none has begun."""
    return _now.get() or Operation(options)
