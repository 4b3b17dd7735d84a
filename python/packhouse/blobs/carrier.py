"""Carries the engine's packs and segments to a store of objects: called from its threads, working on the loop.

The engine blocks, objects are awaited; a portal stands between them. A call costs a hop to the loop and back, some
0.1 ms, beside the 10 to 100 ms of a request. Reads, and parts of what has no name yet, are given up when whoever the
engine works for is cancelled; what others may see is seen to its end.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import anyio

from packhouse._engine import Cancel
from packhouse.errors import (
    CommitUncertain,
    InvalidInput,
    NameConflict,
    NameNotFound,
    PackhouseError,
    UnsupportedStore,
)
from packhouse.objects.contract import REFUSED, ObjectInfo, ObjectStore, Stream

if TYPE_CHECKING:
    from anyio.from_thread import BlockingPortal
    from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
    from typing_extensions import Buffer

__all__ = ["Carrier"]

T = TypeVar("T")
_LOG = logging.getLogger(__name__)
_LOOK_EVERY = 0.05
"""Seconds after which it is seen whether the answer is still wanted."""
_READS_AT_ONCE = 32
"""Requests of one call; the client bounds what is in flight besides."""
_WITHDRAWN_SECONDS = 15.0
"""More than an upload takes that is withdrawn: services are asked for 10 s at most."""


class Carrier:
    """What the engine calls. Every method blocks its thread; none may be called on the loop's own.

    Args:
        store: where objects are, opened.
        portal: the way to the loop on which it was opened.
        conditions: whether the service has conditional writes; without them a look goes before what must be absent.
    """

    def __init__(self, store: ObjectStore, portal: BlockingPortal, *, conditions: bool = True) -> None:
        self._store = store
        self._conditions = conditions
        self._portal = portal
        self._skew = 0.0

    def read(self, name: str, start: int, into: Buffer) -> int:
        """Fill a buffer from there on; return the size of the whole object.

        A read that is given up may write to the buffer after this has raised, while it lets go of it.
        """
        view = memoryview(into)
        found = self._ask(lambda: self._store.get(name, start=start, length=len(view), into=view))
        return found.info.size

    def read_many(self, wanted: Sequence[tuple[str, int, Buffer]]) -> list[Exception | None]:
        """Fill buffers, each from a place in an object; return why one could not be filled, None for one that is.

        As with `read`, what is given up may still be written to.
        """
        outcomes: list[Exception | None] = [None] * len(wanted)
        left = iter(enumerate(wanted))

        async def fill() -> None:
            for at, (name, start, into) in left:
                view = memoryview(into)
                try:
                    with _translated():
                        await self._store.get(name, start=start, length=len(view), into=view)
                except Exception as error:  # noqa: BLE001 - the engine judges it
                    outcomes[at] = error

        async def fill_all() -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(min(len(wanted), _READS_AT_ONCE)):
                    tasks.start_soon(fill)

        self._ask(fill_all)
        return outcomes

    def put(self, name: str, body: bytes) -> None:
        """Write an object."""
        self._note(self._call(lambda: self._store.put(name, body)))

    def put_if(self, name: str, body: bytes, version: str | None) -> None:
        """Write an object if what has its name is of that version; nothing, if there is none."""
        if self._conditions or version is not None:
            with _decided():
                self._note(self._call(lambda: self._store.put_if(name, body, version=version)))
        elif self.head(name) is None:
            self.put(name, body)
        else:
            raise FileExistsError(name)

    def upload(self, name: str) -> _Upload:
        """Begin an object whose bytes come piece by piece."""
        return _Upload(self, name)

    def remove(self, name: str) -> None:
        """Remove an object."""
        self._call(lambda: self._store.delete([name]))

    def names(self, prefix: str, limit: int) -> list[tuple[str, int]]:
        """List names, each with its object's size in bytes."""

        async def some() -> list[tuple[str, int]]:
            found: list[tuple[str, int]] = []
            infos = self._store.list(prefix)
            async for info in infos:
                found.append((info.name, info.size))
                if len(found) >= limit:
                    break
            if isinstance(infos, AsyncGenerator):
                await infos.aclose()
            return found

        return self._ask(some)

    def whole(self, name: str) -> tuple[bytes, str] | None:
        """Return a small object and its version, of one moment; None when there is no such object."""
        try:
            found = self._ask(lambda: self._store.get(name))
        except FileNotFoundError:
            return None
        return bytes(found.data), found.info.version

    def head(self, name: str) -> tuple[int, int] | None:
        """Return length and time in milliseconds; None when there is no such object."""
        try:
            info = self._ask(lambda: self._store.head(name))
        except FileNotFoundError:
            return None
        return info.size, int(info.modified * 1e3)

    def now_ms(self) -> int:
        """Return the store's clock, as its last answer told it."""
        return int((time.time() + self._skew) * 1e3)

    def warn(self, text: str) -> None:
        """Log what costs time and hurts nothing else."""
        _LOG.warning("%s: %s", self._store.url, text)

    def _note(self, info: ObjectInfo) -> None:
        self._skew = info.modified - time.time()

    def _call(self, function: Callable[[], Awaitable[T]]) -> T:
        with _translated():
            return self._portal.call(function)

    def _ask(self, function: Callable[[], Awaitable[T]]) -> T:
        """Call what nobody else sees anything of: given up when whoever this thread works for is cancelled."""
        flag = Cancel.here()
        if flag is None:
            return self._call(function)
        gone = PackhouseError("the operation was cancelled", kind="cancelled")
        if flag.is_cancelled():
            raise gone
        with _translated():
            future = self.start(function)
            while True:
                with suppress(NotYet):
                    return future.result(_LOOK_EVERY)
                if future.done():
                    return future.result()
                if flag.is_cancelled():
                    future.cancel()
                    raise gone

    def start(self, function: Callable[[], Awaitable[T]]) -> Future[T]:
        """Begin something that goes on while others are called."""
        return self._portal.start_task_soon(function)

    def finish(self, future: Future[T]) -> T:
        """Wait for what was begun."""
        with _translated():
            return future.result()


class _translated:  # noqa: N801 - reads as what it does
    """Tells the engine by the exception's class whether a write can still have its effect."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, NameNotFound):
            raise FileNotFoundError(str(error)) from error
        if isinstance(error, NameConflict):
            raise FileExistsError(str(error)) from error
        if isinstance(error, InvalidInput) and error.kind == "object-range":
            raise EOFError(str(error)) from error
        if isinstance(error, UnsupportedStore):
            raise NotImplementedError(str(error)) from error
        if isinstance(error, PackhouseError) and error.kind in REFUSED:
            raise PermissionError(str(error)) from error


class _decided:  # noqa: N801 - as above
    """Tells the engine of a conditional write that it did not happen, unless the store says that nobody knows."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, PackhouseError) and not isinstance(error, CommitUncertain):
            raise PermissionError(str(error)) from error


class _Upload:
    """An object on its way: a task that puts what comes through a stream of one piece."""

    def __init__(self, carrier: Carrier, name: str) -> None:
        self._carrier = carrier
        self._send: MemoryObjectSendStream[memoryview]
        receive: MemoryObjectReceiveStream[memoryview]
        self._send, receive = anyio.create_memory_object_stream[memoryview](0)

        async def pieces() -> AsyncIterator[memoryview]:
            async with receive:
                async for piece in receive:
                    yield piece
                    del piece

        self._ended = threading.Event()

        async def put() -> ObjectInfo:
            try:
                async with receive:
                    return await carrier._store.put(name, Stream(pieces()))  # noqa: SLF001 - of the same file
            finally:
                self._ended.set()

        self._future: Future[ObjectInfo] = carrier.start(put)

    def write(self, piece: Buffer) -> None:
        """Hand over the next bytes; blocks while too much is on its way."""
        try:
            self._carrier._ask(lambda: self._send.send(memoryview(piece)))  # noqa: SLF001 - of the same file
        except anyio.BrokenResourceError:
            self._carrier.finish(self._future)
            raise
        except PackhouseError:
            self._future.cancel()  # a part may be missing: it is never finished
            raise

    def finish(self) -> None:
        """Wait until all is durable."""
        self._carrier._call(self._send.aclose)  # noqa: SLF001 - of the same file
        self._carrier._note(self._carrier.finish(self._future))  # noqa: SLF001 - of the same file

    def abort(self) -> None:
        """Stop, and wait until nothing of it is left."""
        self._future.cancel()  # which does not wait
        with suppress(BaseException):  # without a loop there is nobody to wait for
            self._carrier._call(self._send.aclose)  # noqa: SLF001 - of the same file
            self._ended.wait(_WITHDRAWN_SECONDS)
