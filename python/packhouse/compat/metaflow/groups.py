"""Blobs from an iterator, so many at a time that native work is worth its call and memory stays bounded."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["GROUP_BYTES", "groups"]

GROUP_BYTES = 16 << 20
"""A group is closed when it holds so many bytes."""
_GROUP_ITEMS = 1024


def groups(blobs: Iterable[Buffer]) -> Iterator[list[Buffer]]:
    """Take blobs lazily and hand them out in groups; a producer's own exception passes through.

    Raises:
        TypeError: an item is not bytes-like.
    """
    group: list[Buffer] = []
    size = 0
    for blob in blobs:
        group.append(blob)
        size += memoryview(blob).nbytes
        del blob  # it is not held while the next is made
        if size >= GROUP_BYTES or len(group) >= _GROUP_ITEMS:
            yield group
            group, size = [], 0
    if group:
        yield group
