"""What an open store of objects needs around it: its connections and the engine's way to the loop."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import anyio
from anyio.from_thread import BlockingPortal

from packhouse.blobs.carrier import Carrier
from packhouse.errors import NameConflict, NameNotFound, UnsupportedStore

if TYPE_CHECKING:
    from anyio.abc import TaskGroup, TaskStatus

    from packhouse.objects.contract import ObjectStore

__all__ = ["Remote"]

_SETTINGS = "store.json"


class Remote:
    """A store of objects and a portal, kept open by a task of their own until `close`.

    What the engine has begun goes on when the task that opened the store is cancelled: a commit that was issued is seen
    to its end.

    Args:
        objects: not opened yet.
        create: whether a store may be made: then the service must honour conditions, or its user must have said that
            it does not.
        conditions: False where the user has said so: a store is then made by one writer at a time, and has no names.
    """

    def __init__(self, objects: ObjectStore, *, create: bool, conditions: bool) -> None:
        self._objects = objects
        self._create = create
        self._conditions = conditions
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
                async with self._objects:
                    if self._create and self._conditions:
                        await _try_conditions(self._objects)
                    async with BlockingPortal() as portal:
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

    async def close(self) -> None:
        """Close connections; the engine calls no more."""
        self._close.set()
        with anyio.CancelScope(shield=True):
            await self._closed.wait()


async def _try_conditions(objects: ObjectStore) -> None:
    """Where there is no store yet, see whether the service honours conditions.

    Raises:
        UnsupportedStore: it takes them and does not look at them, or refuses them (`conditional-writes`).
    """
    try:
        await objects.head(_SETTINGS)
    except NameNotFound:
        pass
    else:
        return
    name = f"tmp/{secrets.token_hex(16)}"
    try:
        await objects.put_if(name, b"first", version=None)
        try:
            await objects.put_if(name, b"second", version=None)
        except NameConflict:
            return
    finally:
        await objects.delete([name])
    message = (
        f"cannot make a store in {objects.url}: the service ignores conditional writes, so names would lose updates; "
        "S3Options(conditional_writes=False) makes one without names"
    )
    raise UnsupportedStore(message, kind="conditional-writes")
