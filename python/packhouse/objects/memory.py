"""Objects in memory: gone with the store object. For tests, and for what is thrown away."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterable
from itertools import count

import anyio.lowlevel

from packhouse.errors import NameConflict, NameNotFound
from packhouse.objects.contract import (
    Body,
    Bytes,
    Fetched,
    ObjectInfo,
    ObjectStore,
    check_object_name,
    check_range,
    check_target,
    gather_body,
)

__all__ = ["MemoryObjects"]


class MemoryObjects(ObjectStore):
    """A dictionary that keeps the contract."""

    def __init__(self) -> None:
        self._objects: dict[str, tuple[ObjectInfo, bytes]] = {}
        self._versions = count(1)

    @property
    def url(self) -> str:
        return "memory://"

    async def get(
        self, name: str, *, start: int = 0, length: int | None = None, into: memoryview | None = None
    ) -> Fetched:
        await anyio.lowlevel.checkpoint()
        info, content = self._find(name)
        size = check_range(info.size, start, length, name)
        target = check_target(into, size, name)
        target[:] = memoryview(content)[start : start + size]
        return Fetched(target, info)

    async def put(self, name: str, body: Body) -> ObjectInfo:
        check_object_name(name)
        await anyio.lowlevel.checkpoint()
        return self._keep(name, bytes(await gather_body(body, name)))

    async def put_if(self, name: str, body: Bytes, *, version: str | None) -> ObjectInfo:
        check_object_name(name)
        await anyio.lowlevel.checkpoint()
        there = self._objects.get(name)
        if (there[0].version if there else None) != version:
            raise NameConflict(f"{name} is not as it was thought to be; nothing was written", kind="object-conflict")
        return self._keep(name, bytes(body))

    async def delete(self, names: Iterable[str]) -> None:
        checked = [check_object_name(name) for name in names]
        await anyio.lowlevel.checkpoint()
        for name in checked:
            self._objects.pop(name, None)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        check_object_name(prefix, prefix=True)
        await anyio.lowlevel.checkpoint()
        for info, _ in list(self._objects.values()):
            if info.name.startswith(prefix):
                yield info

    async def head(self, name: str) -> ObjectInfo:
        await anyio.lowlevel.checkpoint()
        return self._find(name)[0]

    async def copy(self, source: str, target: str) -> bool:
        check_object_name(target)
        await anyio.lowlevel.checkpoint()
        self._keep(target, self._find(source)[1])
        return True

    def _find(self, name: str) -> tuple[ObjectInfo, bytes]:
        found = self._objects.get(check_object_name(name))
        if found is None:
            raise NameNotFound(f"there is no object {name}", kind="object-not-found")
        return found

    def _keep(self, name: str, content: bytes) -> ObjectInfo:
        info = ObjectInfo(name, len(content), str(next(self._versions)), time.time())
        self._objects[name] = (info, content)
        return info
