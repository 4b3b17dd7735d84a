"""Artifacts on their way out: read by their locators, made by the serializer that their record names."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Iterable, Iterator
from contextlib import aclosing
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn, TypeVar

from packhouse.blobs.opening import core_of
from packhouse.errors import BlobNotFound, PackhouseError

if TYPE_CHECKING:
    from packhouse.blobs.records import KeyWithLocator
    from packhouse.blobs.store import BlobStore
    from packhouse.sync.store import BlobStore as SyncBlobStore
    from packhouse.tasks.content import ContentAddressedStore
    from packhouse.tasks.record import Record
    from packhouse.tasks.serializers import Serializer, Serializers

__all__ = ["Wanted", "load_values", "plan", "values"]

T = TypeVar("T")

_LARGE = 1 << 20
_DECODED_ON_LOOP = 1 << 16


class Wanted(NamedTuple):
    """One artifact to load."""

    name: str
    located: KeyWithLocator
    reader: Serializer
    size: int

    def is_large(self) -> bool:
        """Whether it is read straight into memory of its own."""
        return self.reader.wants_memory and self.size >= _LARGE

    def value(self, data: bytes) -> object:
        """Make the value from bytes that may not be written to."""
        return self.reader.load(bytearray(data) if self.reader.wants_memory else data)

    def take(self, held: list[bytes]) -> object:
        """Make the value from the last of what is held, so that whoever asked holds neither any more."""
        return self.value(held.pop())


def plan(record: Record, names: Iterable[str], serializers: Serializers) -> Iterator[Wanted]:
    """Look up what is to be loaded.

    Raises:
        NameNotFound: there is no such artifact.
        InvalidInput: it is a pickle, and pickles are refused here.
    """
    for name in names:
        located = record.located(name)
        info = record.info.get(name) or {}
        yield Wanted(name, located, serializers.reader(name, info), info.get("size") or 0)


async def load_values(
    content: ContentAddressedStore, wanted: list[Wanted], told: Callable[[int], None], where: str
) -> AsyncGenerator[tuple[str, Any]]:
    """Load artifacts, small ones many at a time and ahead of the consumer, then large ones one by one.

    Args:
        content: the blobs, and their cache.
        wanted: what to load.
        told: called with the bytes of each artifact.
        where: the task, for messages.
    """
    store, jobs = content.store, core_of(content.store).jobs
    small: list[Wanted] = []
    for one in wanted:
        cached = await content.cached(one.located.key)
        if cached is not None:
            held = [cached]
            del cached
            told(len(held[0]))
            yield one.name, await jobs.call(partial(one.take, held))
        elif not one.is_large():
            small.append(one)
        else:
            try:
                memory = await _read_large(store, one)
            except PackhouseError as error:
                _fail(error, one, where)
            told(memory.nbytes)
            await content.keep(one.located.key, memory)
            yield one.name, await jobs.call(partial(one.reader.load, memory))
            del memory
    at = 0
    async with aclosing(store.load_blobs([one.located for one in small])) as loaded:
        while at < len(small):
            try:
                many = await loaded.next_many()
            except PackhouseError as error:
                _fail(error, small[at], where)
            group = small[at : at + len(many)]
            at += len(many)
            for blob in many:
                told(len(blob.data))
                await content.keep(blob.key, blob.data)

            def made(group: list[Wanted] = group, many: list[Any] = many) -> list[tuple[str, Any]]:
                return [(one.name, one.value(blob.data)) for one, blob in zip(group, many, strict=True)]

            few = sum(len(blob.data) for blob in many) <= _DECODED_ON_LOOP
            pairs = made() if few else await jobs.call(made)
            del many, made, blob
            pairs.reverse()
            while pairs:
                yield pairs.pop()


def values(
    store: SyncBlobStore, cache: Any, wanted: list[Wanted], told: Callable[[int], None], where: str
) -> Iterator[tuple[str, Any]]:
    """Load artifacts as `load_values`, made in the caller's thread; the cache's methods are no coroutines."""
    small = []
    for one in wanted:
        cached = None if cache is None else cache.load_key(one.located.key)
        if cached is not None:
            held = [cached]
            del cached
            told(len(held[0]))
            yield one.name, one.take(held)
        elif not one.is_large():
            small.append(one)
        else:
            try:
                memory = new_memory(store.size(one.located))
                store.load_into(one.located, memory)
            except PackhouseError as error:
                _fail(error, one, where)
            told(memory.nbytes)
            if cache is not None:
                cache.store_key(one.located.key, bytes(memory))
            yield one.name, one.reader.load(memory)
            del memory
    loaded = store.load_blobs(one.located for one in small)
    try:
        for one in small:
            try:
                held = [next(loaded).data]
            except PackhouseError as error:
                _fail(error, one, where)
            told(len(held[0]))
            if cache is not None:
                cache.store_key(one.located.key, held[0])
            yield one.name, one.take(held)
    finally:
        loaded.close()


def new_memory(size: int) -> memoryview:
    """Make memory to read into, without clearing it first where NumPy is there anyway."""
    numpy = sys.modules.get("numpy")
    return memoryview(bytearray(size) if numpy is None else numpy.empty(size, numpy.uint8))


async def _read_large(store: BlobStore, one: Wanted) -> memoryview:
    memory = new_memory(await store.size(one.located))
    await store.load_into(one.located, memory)
    return memory


def _fail(error: PackhouseError, one: Wanted, where: str) -> NoReturn:
    """Say in an error which artifact it was."""
    if error.kind == "closed":
        raise error
    renamed = type(error)(f"artifact {one.name!r} of {where}, blob {one.located.key}: {error}", kind=error.kind)
    renamed.errno = error.errno
    if isinstance(renamed, BlobNotFound) and isinstance(error, BlobNotFound):
        renamed.keys = error.keys
    raise renamed from error
