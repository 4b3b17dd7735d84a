"""What a store of objects really does with conditions and lists: tried before a store is made, and by the doctor."""

from __future__ import annotations

from typing import Literal, NamedTuple, TypeAlias

from packhouse.errors import NameConflict, UnsupportedStore
from packhouse.objects.contract import ObjectStore

__all__ = ["Conditions", "lists_at_once", "try_conditions"]

Doing: TypeAlias = Literal["honours", "ignores", "lacks", "mistakes"]


class Conditions(NamedTuple):
    """What became of conditional writes."""

    doing: Doing
    """It honours them, takes them and does not look at them, refuses them, or finds that no version is ever the one."""
    which: str = ""
    """What it ignores."""
    version: str = ""
    """Of the object that is left, where they are honoured."""


async def try_conditions(store: ObjectStore, name: str) -> Conditions:
    """Write an object on conditions that hold and on others that do not; 4 requests where all is well.

    Where the service finds a true version wrong and its store can write versions in another way (`requote`), that is
    tried and, if it is right, kept.

    Args:
        store: opened.
        name: of an object that is not there; it is not removed.
    """
    try:
        first = (await store.put_if(name, b"first", version=None)).version
        if await _writes(store, name, None):
            return Conditions("ignores", "if absent")
        second = await _writes(store, name, first)
        if second is None and _requote(store):
            second = await _writes(store, name, first)
        if second is None:
            return Conditions("mistakes")
        if await _writes(store, name, first):
            return Conditions("ignores", "if unchanged")
    except UnsupportedStore:
        return Conditions("lacks")
    return Conditions("honours", version=second)


async def lists_at_once(store: ObjectStore, name: str) -> bool:
    """Tell whether a list names an object that was just put, although the same was listed before.

    Args:
        store: opened.
        name: of an object that is not there; it is not removed.
    """
    await _is_listed(store, name)  # an answer that somebody on the way keeps is kept now
    await store.put(name, b"listed")
    return await _is_listed(store, name)


async def _is_listed(store: ObjectStore, name: str) -> bool:
    return name in [info.name async for info in store.list(name)]


async def _writes(store: ObjectStore, name: str, version: str | None) -> str | None:
    """Write if that version is there; returns the new one, None where the service says that it is not."""
    try:
        return (await store.put_if(name, f"not {version}".encode(), version=version)).version
    except NameConflict:
        return None


def _requote(store: ObjectStore) -> bool:
    from packhouse.objects.bucket import BucketObjects  # noqa: PLC0415 - imports httpx

    return isinstance(store, BucketObjects) and store.requote(quoted=not store.quoted)
