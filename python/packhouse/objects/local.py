"""Objects as files of a folder, for one machine: every object a file of its own under its name."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice
from typing import Any, Self, TypeVar

import anyio

from packhouse.errors import NameConflict, NameNotFound
from packhouse.objects.contract import (
    Body,
    Bytes,
    Fetched,
    ObjectInfo,
    ObjectStore,
    Stream,
    check_object_name,
    check_range,
    check_size,
    check_target,
)
from packhouse.objects.folder import Folder, write_all
from packhouse.objects.threads import run_out

__all__ = ["LocalObjects"]

T = TypeVar("T")
_LISTED_AT_ONCE = 1000


class LocalObjects(ObjectStore):
    """A folder of objects. Several processes may use it; a lock that dies with its holder guards conditions.

    Args:
        path: the folder; made when it is missing.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._folder = Folder(path)

    @property
    def url(self) -> str:
        return str(self._folder.path)

    async def __aenter__(self) -> Self:
        await self._do("make", "the folder", self._folder.make)
        return self

    async def _do(self, action: str, name: str, work: Callable[..., T], *args: Any) -> T:
        """Call what touches files, in a thread; what the system says becomes an error of ours."""

        def told() -> T:
            with self._folder.told(action, name):
                return work(*args)

        return await run_out(told)

    async def get(
        self, name: str, *, start: int = 0, length: int | None = None, into: memoryview | None = None
    ) -> Fetched:
        check_object_name(name)

        def read() -> Fetched:
            with self._folder.told("read", name):
                info = self._folder.info(name)
                while True:
                    count = check_range(info.size, start, length, name)
                    target = check_target(into, count, name)
                    seen = self._folder.read(name, target, start)
                    if seen.version == info.version:
                        return Fetched(target, seen)
                    info = seen  # replaced meanwhile

        return await run_out(read)

    async def put(self, name: str, body: Body) -> ObjectInfo:
        check_object_name(name)
        return await self._write(name, body, None)

    async def put_if(self, name: str, body: Bytes, *, version: str | None) -> ObjectInfo:
        check_object_name(name)
        return await self._write(name, body, (version,))

    async def _write(self, name: str, body: Body, condition: tuple[str | None] | None) -> ObjectInfo:
        made: list[tuple[int, str]] = []  # what a cancelled call has made is known, too
        try:
            await self._do("write", name, lambda: made.append(self._folder.stage()))
            [(file, staged)] = made
            if isinstance(body, Stream):
                size = 0
                async with body.reading() as pieces:
                    async for piece in pieces:
                        size += await self._do("write", name, write_all, file, piece)
                check_size(body, size, name)
            else:
                await self._do("write", name, write_all, file, body)

            def publish() -> ObjectInfo:
                with self._folder.told("write", name):
                    if condition is not None and self._version(name) != condition[0]:
                        message = f"{name} is not as it was thought to be; nothing was written"
                        raise NameConflict(message, kind="object-conflict")
                    return self._folder.publish(file, staged, name)

            async with self._locked(name):
                return await run_out(publish)
        finally:
            for file, staged in made:
                os.close(file)
                self._folder.drop(staged)

    def _version(self, name: str) -> str | None:
        try:
            return self._folder.info(name).version
        except (FileNotFoundError, NotADirectoryError, NameNotFound):
            return None

    @asynccontextmanager
    async def _locked(self, name: str) -> AsyncIterator[None]:
        """Hold the lock that guards a name."""
        wait = 0.001
        while (lock := self._try_lock(name)) is None:
            await anyio.sleep(wait)
            wait = min(wait * 2, 0.05)
        try:
            yield
        finally:
            os.close(lock)

    def _try_lock(self, name: str) -> int | None:
        with self._folder.told("lock", name):
            return self._folder.try_lock(name)

    async def delete(self, names: Iterable[str]) -> None:
        for name in [check_object_name(name) for name in names]:
            async with self._locked(name):
                await run_out(partial(self._remove, name))

    def _remove(self, name: str) -> None:
        with self._folder.told("delete", name):
            self._folder.remove(name)

    async def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        check_object_name(prefix, prefix=True)
        found = self._folder.walk(prefix)

        def some() -> list[ObjectInfo]:
            return list(islice(found, _LISTED_AT_ONCE))

        while infos := await self._do("list", prefix or "all", some):
            for info in infos:
                yield info

    async def head(self, name: str) -> ObjectInfo:
        check_object_name(name)

        def look() -> ObjectInfo:
            with self._folder.told("look at", name):
                return self._folder.info(name)

        return await run_out(look)

    async def copy(self, source: str, target: str) -> bool:
        found = await self.get(source)
        await self.put(target, found.data)
        return True
