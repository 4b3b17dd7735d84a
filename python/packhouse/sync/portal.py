"""The event loop of one sync store, in a thread of its own."""

from __future__ import annotations

import os
import threading
import weakref
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import anyio
from anyio.from_thread import BlockingPortal

from packhouse.errors import InvalidInput, StoreClosed

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator
    from types import TracebackType

__all__ = ["Openable", "Portal"]

T = TypeVar("T")

_ENTERED_WITHIN = 5.0


class Openable(Protocol):
    """What a portal opens and closes: a store, or what holds one."""

    @property
    def url(self) -> str:
        """How messages call it."""
        ...

    async def __aenter__(self) -> Any:
        """Open it."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Close it."""


class Portal:
    """Opens a store on an event loop of its own, and carries calls to it from any thread.

    The thread is a daemon: a store that nobody closed is closed when it is collected or the interpreter ends, and never
    keeps it from ending.
    """

    def __init__(self, store: Openable) -> None:
        self._state = _State(store)
        self._state.start()
        self._close = weakref.finalize(self, self._state.stop)

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        """Run an async function on the loop and wait for its outcome.

        Ctrl-C in the waiting thread cancels it, waits until nothing of it is left, and goes on as `KeyboardInterrupt`.

        Raises:
            StoreClosed: the store is closed, or belongs to the process that forked this one.
            InvalidInput: called on the loop's own thread, from a progress callback for instance.
        """
        return self._state.call(function, *arguments)

    def close(self) -> None:
        """Close the store and end the thread; what is being saved is finished or withdrawn."""
        self._state.check_thread()
        self._close()
        self._state.check_closed()


class _Call:
    """One call on its way: its outcome is kept here, whatever becomes of its future."""

    def __init__(self, function: Callable[..., Awaitable[Any]], arguments: tuple[Any, ...]) -> None:
        self._function = function
        self._arguments = arguments
        self.value: Any = None
        self.error: BaseException | None = None
        self.ended = threading.Event()

    async def run(self) -> None:
        try:
            self.value = await self._function(*self._arguments)
        except anyio.get_cancelled_exc_class():
            self.error = StoreClosed("the store was closed during the operation")
            raise
        except BaseException as error:  # noqa: BLE001 - it is the caller's
            self.error = error
        finally:
            self.ended.set()

    def outcome(self) -> Any:
        error, self.error = self.error, None
        if error is None:
            return self.value
        try:
            raise error
        finally:
            del error  # its traceback holds this frame


class _State:
    """What the loop's thread holds: it does not keep the portal alive."""

    def __init__(self, store: Openable) -> None:
        self._store = store
        self._process = os.getpid()
        self._portal: BlockingPortal | None = None
        self._opening: tuple[BlockingPortal, anyio.CancelScope] | None = None
        self._unwanted = False
        self._changed = threading.Condition()
        self._entering = 0
        self._started: Future[None] = Future()
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=f"packhouse.sync {store.url}", daemon=True)

    def start(self) -> None:
        try:
            self._thread.start()
            self._started.result()
        except BaseException as error:
            if not isinstance(error, Exception):
                self._give_up()
            if self._thread.is_alive():
                self._thread.join()
            raise

    def _give_up(self) -> None:
        """Cancel the opening, or close what is open by now: nobody waits for it any more."""
        self._unwanted = True  # seen by the loop where it comes before what it has to cancel
        opening = self._opening
        if opening is not None:
            portal, scope = opening
            with suppress(RuntimeError):  # it has ended by itself
                portal.start_task_soon(scope.cancel)

    def call(self, function: Callable[..., Awaitable[T]], *arguments: Any) -> T:
        if os.getpid() != self._process:
            raise StoreClosed(f"{self._store.url} was opened before the process forked: open it anew", kind="forked")
        self.check_thread()
        call = _Call(function, arguments)
        try:
            with self._entered() as portal:
                future = portal.start_task_soon(call.run)
        except RuntimeError as error:
            raise StoreClosed(f"{self._store.url} is closed") from error
        try:
            call.ended.wait()
        except BaseException:
            future.cancel()
            call.ended.wait()
            raise
        value: T = call.outcome()
        return value

    @contextmanager
    def _entered(self) -> Iterator[BlockingPortal]:
        """Lend the portal, which does not stop meanwhile: what reached its loop too late would never have an end.

        Raises:
            StoreClosed: it stops already.
        """
        with self._changed:
            portal = self._portal
            if portal is None:
                raise StoreClosed(f"{self._store.url} is closed")
            self._entering += 1
        try:
            yield portal
        finally:
            with self._changed:
                self._entering -= 1
                self._changed.notify_all()

    def stop(self) -> None:
        """Close, once; in a forked child there is nothing to close."""
        if os.getpid() != self._process:
            return
        with self._changed:
            portal, self._portal = self._portal, None
            self._opening = None
            # A signal's handler that closes the store may have interrupted the one that is entering.
            self._changed.wait_for(lambda: not self._entering, _ENTERED_WITHIN)
        if portal is not None:
            with suppress(RuntimeError):  # it has ended by itself
                portal.start_task_soon(portal.stop)
        if threading.current_thread() is not self._thread:  # else the collector runs there: it ends by itself
            self._thread.join()

    def check_thread(self) -> None:
        if threading.current_thread() is self._thread:
            raise InvalidInput(
                "a sync store was called on its own thread, from a progress callback for instance", kind="own-thread"
            )

    def check_closed(self) -> None:
        failure, self._failure = self._failure, None
        if failure is not None:
            raise failure

    def _run(self) -> None:
        try:
            anyio.run(self._main, backend="asyncio")
        except BaseException as error:  # noqa: BLE001 - told by whoever opens or closes
            if self._started.done():
                self._failure = error
            else:
                self._started.set_exception(error)

    async def _main(self) -> None:
        error: BaseException | None = None
        async with BlockingPortal() as portal:
            try:
                with anyio.CancelScope() as scope:
                    self._opening = portal, scope
                    if self._unwanted:
                        return
                    async with self._store:
                        self._portal = portal
                        self._started.set_result(None)
                        await portal.sleep_until_stopped()
            except Exception as failure:  # noqa: BLE001 - the portal's task group would wrap it
                error = failure
        if error is not None:
            raise error
