"""A blob piece by piece, in bounded memory, and checked against its key as a whole."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import packhouse

__all__ = ["pieces_of"]

_PIECE = 4 << 20  # what the reader fetches ahead


async def pieces_of(store: packhouse.BlobStore, key: str) -> AsyncIterator[bytes]:
    """Load a blob in pieces.

    The engine verifies each piece's chunks; that all pieces together are what the key says is checked here, with the
    second implementation of BLAKE3, before the last piece is handed out.

    Raises:
        CorruptBlob: the chunks are whole, and together they are another content.
    """
    import blake3

    from packhouse.errors import CorruptBlob

    hasher = blake3.blake3(max_threads=blake3.blake3.AUTO)
    async with await store.open_read(key) as reader:
        left = reader.size
        while True:
            piece = await reader.read(_PIECE)
            hasher.update(piece)
            left -= len(piece)
            if left == 0 and hasher.hexdigest() != key:
                raise CorruptBlob(f"loading {key}: the content as a whole is another one's", kind="blob")
            yield piece
            if left == 0:
                return
