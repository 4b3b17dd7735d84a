"""`packhouse.sync.copy_store`: from one sync store to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packhouse import copying
from packhouse.blobs.opening import reader_of

if TYPE_CHECKING:
    from packhouse.blobs.progress import ProgressCallback
    from packhouse.copying import Copied
    from packhouse.sync.store import BlobStore

__all__ = ["copy_store"]


def copy_store(
    source: BlobStore,
    destination: BlobStore,
    *,
    replace: bool = False,
    check: bool = False,
    commit_every: int = 256 << 20,
    progress: ProgressCallback | None = None,
) -> Copied:
    """Copy blobs, trees and names that the destination lacks. As `packhouse.copy_store`.

    The source is opened once more, for reading, beside the destination: two stores have two event loops.

    Raises:
        InvalidInput: as there, or the source has a client of yours, which belongs to its own event loop.
        PackhouseError: reading or writing failed; what was committed stays.
    """
    ours, theirs = source._store, destination._store  # noqa: SLF001 - of the same room
    copying.refuse_one(ours, theirs)
    reader = reader_of(ours)

    async def copy() -> Copied:
        async with reader:
            return await copying.copy_store(
                reader, theirs, replace=replace, check=check, commit_every=commit_every, progress=progress
            )

    return destination._portal.call(copy)  # noqa: SLF001 - of the same room
