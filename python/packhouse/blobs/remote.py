"""What an open store of objects needs around it: its connections and the engine's way to the loop."""

from __future__ import annotations

import logging
import secrets
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import anyio
from anyio.from_thread import BlockingPortal

from packhouse.blobs.carrier import Carrier
from packhouse.blobs.jobs import wait_out
from packhouse.errors import PackhouseError, StoreClosed, UnsupportedStore
from packhouse.objects.probing import Conditions, lists_at_once, try_conditions

if TYPE_CHECKING:
    from anyio.abc import TaskGroup

    from packhouse.objects.bucket import BucketObjects, BucketOptions

__all__ = ["Remote"]

_log = logging.getLogger("packhouse")
_CLEARING_SECONDS = 10.0
"""What a probe leaves behind is removed within these, or stays."""


class Remote:
    """A store of objects and a portal, kept open by a task of their own until `close`.

    What the engine has begun goes on when the task that opened the store is cancelled: a commit that was issued is seen
    to its end.

    Args:
        objects: not opened yet.
        options: what was chosen about the bucket; `conditional_writes=False` says that the service has none: a store is
            then made by one writer at a time, and has no names.
    """

    def __init__(self, objects: BucketObjects, options: BucketOptions | None) -> None:
        self._objects = objects
        self._conditions = options is None or options.conditional_writes
        self._outcome: Carrier | Exception = StoreClosed(f"{objects.url} was closed while it was opened")
        self._opening = anyio.CancelScope(shield=True)
        self._started = anyio.Event()
        self._close = anyio.Event()
        self._closed = anyio.Event()

    async def start(self, tasks: TaskGroup) -> Carrier:
        """Open it.

        Raises:
            PackhouseError: credentials or configuration cannot be used.
        """
        tasks.start_soon(self._run)
        try:
            await self._started.wait()
        except BaseException:
            self._opening.cancel()
            self._close.set()
            await wait_out(self._closed)
            raise
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    async def _run(self) -> None:
        try:
            stack = AsyncExitStack()
            with self._opening:  # credentials are read, from wherever: whoever opens it can give that up
                await stack.enter_async_context(self._objects)
            if self._opening.cancelled_caught:
                return
            with anyio.CancelScope(shield=True):
                async with stack, BlockingPortal() as portal:
                    self._outcome = Carrier(self._objects, portal, conditions=self._conditions)
                    self._started.set()
                    await self._close.wait()
                    await portal.stop()
        except Exception as error:
            if self._started.is_set():
                raise
            self._outcome = error
        finally:
            self._started.set()
            self._closed.set()

    async def probe(self) -> dict[str, int]:
        """See whether the service does what a store needs, before one is made; 9 requests, nothing is left.

        Returns:
            What the settings of the store keep of it.

        Raises:
            UnsupportedStore: it does not list what was just put (`list-after-put`), or has no conditional writes, and
                nobody said that this is known (`conditional-writes`).
        """
        listed, written = (f"tmp/{secrets.token_hex(16)}" for _ in range(2))
        try:
            if not await lists_at_once(self._objects, listed):
                message = f"cannot make a store in {self._objects.url}: the service does not list what was just put, "
                message += "and what is committed is found by listing"
                raise UnsupportedStore(message, kind="list-after-put")
            if self._conditions:
                _demand(await try_conditions(self._objects, written), self._objects.url)
        finally:
            with anyio.move_on_after(_CLEARING_SECONDS, shield=True):
                for name in (listed, written):  # not at once: no service needs to know how, for a store to be made
                    await self._objects.delete([name])
        return {"quoted_etags": int(self._objects.quoted)}

    def settle(self, *, quoted: bool) -> None:
        """Write versions as the store's settings say, unless its user has chosen."""
        self._objects.requote(quoted=quoted)

    async def uploads(self) -> tuple[str, ...] | None:
        """Tell the objects whose uploads have not ended; None where the service refuses to."""
        try:
            return tuple(name for name, _ in await self._objects.uploads())
        except PackhouseError as error:
            _log.info("%s", error)
            return None

    async def close(self) -> None:
        """Close connections; the engine calls no more."""
        self._close.set()
        with anyio.CancelScope(shield=True):
            await self._closed.wait()


def _demand(conditions: Conditions, url: str) -> None:
    """Refuse a service that does not honour conditions.

    Raises:
        UnsupportedStore: it takes them and does not look at them, has none, or finds every version wrong.
    """
    says = {
        "ignores": f"ignores conditional writes ({conditions.which})",
        "lacks": "has no conditional writes",
        "mistakes": "refuses conditional writes on the very version that is there",
    }.get(conditions.doing)
    if says is not None:
        message = f"cannot make a store in {url}: the service {says}, so names would lose updates; "
        message += "conditional_writes=False among the bucket's options makes one without names"
        raise UnsupportedStore(message, kind="conditional-writes")
