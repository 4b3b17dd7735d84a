"""What a store holds, and how one blob is stored: answered from the index, without reading packs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from packhouse._engine import Cancel
from packhouse.errors import BlobNotFound, CorruptBlob

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from packhouse.blobs.core import Core

__all__ = ["BlobAnatomy", "StoreSurvey", "StoredBlob", "anatomy", "keys", "page", "pages_around", "survey"]

_PAGE = 4096
_CLOSER = 16
_STRETCH = 256 - 12
_LAST = "f" * 64


class StoredBlob(NamedTuple):
    """A blob that is in the store."""

    key: str
    """Its key."""
    size: int
    """Bytes of its content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSurvey:
    """Sums over a store's index. Each blob and each chunk counts once, however often it was saved."""

    segments: int
    """Segments of the index."""
    index_bytes: int
    """Bytes of their files, small packs at their heads left out."""
    packs: int
    """Packs, small ones at the heads of segments included."""
    pack_bytes: int
    """Their bytes."""
    blobs: int
    """Blobs that were saved as such."""
    blob_bytes: int
    """Their bytes."""
    large_blobs: int
    """Of these blobs, those of several chunks."""
    chunks: int
    """Different chunks."""
    chunk_bytes: int
    """Their bytes, before compression."""
    stored_bytes: int
    """Their bytes as stored, with their headers."""
    raw_chunks: int
    """Of the chunks, those on which compression did not pay."""
    raw_bytes: int
    """Their bytes."""
    nodes: int
    """Recipe nodes of large blobs."""
    node_bytes: int
    """Their bytes as stored."""
    surplus: int
    """Chunks and nodes that are stored once more than needed: two writers at the same moment, or again after damage."""
    surplus_bytes: int
    """Their bytes as stored."""
    damage_notes: int
    """Pieces that were found damaged at some time."""
    unreadable: int
    """Parts of the index that could not be read, and are left out of the sums."""
    sizes: tuple[int, ...]
    """How many chunks there are by size: first empty ones, then those below 2, 4, 8, … bytes."""
    size_bytes: tuple[int, ...]
    """Their bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlobAnatomy:
    """How one blob is stored."""

    size: int
    """Bytes of its content."""
    chunks: int
    """Chunks it is made of, repetitions included."""
    repeated_chunks: int
    """Of these, repetitions of a chunk within the blob."""
    repeated_bytes: int
    """Their bytes."""
    known_chunks: int
    """Different chunks that were stored before the blob was saved."""
    known_bytes: int
    """Their bytes."""
    stored_bytes: int
    """Its different chunks as stored, with their headers."""
    raw_bytes: int
    """Bytes of its different chunks on which compression did not pay."""
    nodes: int
    """Nodes of its recipe; 0 for a blob of one chunk."""
    packs: int
    """Packs that its chunks stand in."""
    surplus_chunks: int
    """Chunks that stand in more than one place."""
    bad_chunks: int
    """Chunks that are known in damaged places only, or not at all."""


async def survey(core: Core) -> StoreSurvey:
    """Read the index from end to end and sum it up."""
    cancel = Cancel()
    return StoreSurvey(**await core.jobs.call(lambda: core.engine.survey(cancel), cancel))


async def anatomy(core: Core, key: str) -> BlobAnatomy:
    """Take one blob apart."""
    cancel = Cancel()
    told = await core.jobs.call(lambda: core.engine.anatomy(key, cancel), cancel)
    if told is None:
        error = BlobNotFound(f"anatomy of {key}: no blob has this key")
        error.keys = (key,)
        raise error
    return BlobAnatomy(**told)


async def page(core: Core, after: str | None, limit: int = _PAGE) -> list[StoredBlob]:
    """List the next blobs behind a key in the order of their keys; none at the end.

    Raises:
        CorruptBlob: a part of the index that may hold one of them cannot be read.
    """
    cancel = Cancel()
    found = await core.jobs.call(lambda: core.engine.keys(after, limit, cancel), cancel)
    return [StoredBlob(key, size) for key, size in found]


async def pages_around(core: Core, lacks: Callable[[CorruptBlob], object]) -> AsyncIterator[list[StoredBlob]]:
    """List all blobs that can be listed, page by page: close in on what cannot be read, and go on behind it.

    Of a segment that cannot be opened nothing can be said: then nothing is listed.

    Args:
        core: the store.
        lacks: told why the list lacks something, for each attempt.
    """
    after: str | None = None
    limit = _PAGE
    while after != _LAST:
        try:
            found = await page(core, after, limit)
        except CorruptBlob as error:
            lacks(error)
            if limit > 1:
                limit //= _CLOSER
            else:
                after = _behind(after)
            continue
        if not found:
            return
        limit = min(limit * _CLOSER, _PAGE)
        yield found
        after = found[-1].key


def _behind(after: str | None) -> str:
    """Return the last key of the stretch, one of 4,096, that the keys behind this one begin in."""
    first = 0 if after is None else int(after, 16) + 1
    return f"{(((first >> _STRETCH) + 1) << _STRETCH) - 1:064x}"


async def keys(core: Core) -> AsyncIterator[StoredBlob]:
    """List all blobs in the order of their keys, a page at a time."""
    after: str | None = None
    while found := await page(core, after):
        for blob in found:
            yield blob
        after = found[-1].key
