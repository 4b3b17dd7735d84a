"""What an open store of objects needs around it: its connections and the engine's way to the loop."""

from __future__ import annotations

import logging
import secrets
from typing import TYPE_CHECKING

import anyio
from anyio.from_thread import BlockingPortal

from packhouse.blobs.carrier import Carrier
from packhouse.errors import PackhouseError, UnsupportedStore
from packhouse.objects.probing import Conditions, lists_at_once, try_conditions

if TYPE_CHECKING:
    from anyio.abc import TaskGroup, TaskStatus

    from packhouse.objects.bucket import BucketObjects, BucketOptions

__all__ = ["Remote"]

_log = logging.getLogger("packhouse")


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
        self._close = anyio.Event()
        self._closed = anyio.Event()

    async def start(self, tasks: TaskGroup) -> Carrier:
        """Open it.

        Raises:
            PackhouseError: credentials or configuration cannot be used.
        """
        outcome: Carrier | Exception = await tasks.start(self._run)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _run(self, *, task_status: TaskStatus[Carrier | Exception]) -> None:
        with anyio.CancelScope(shield=True):
            started = False
            try:
                async with self._objects, BlockingPortal() as portal:
                    started = True
                    task_status.started(Carrier(self._objects, portal, conditions=self._conditions))
                    await self._close.wait()
                    await portal.stop()
            except Exception as error:
                if started:
                    raise
                task_status.started(error)
            finally:
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
            with anyio.CancelScope(shield=True):
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
