"""CRC32C or MD5 of what is sent, held against what the service says it got."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Literal

from packhouse._engine import crc32c
from packhouse.objects.contract import Bytes
from packhouse.objects.threads import run_out

__all__ = ["Hash"]

_LONG = 128 << 10


class Hash:
    """The digest of a body that comes in parts, as the service writes it.

    Args:
        kind: which digest.
    """

    def __init__(self, kind: Literal["crc32c", "md5"]) -> None:
        self._crc = 0
        self._md5 = hashlib.md5(usedforsecurity=False) if kind == "md5" else None
        self.field = "crc32c" if self._md5 is None else "md5Hash"
        """What it is called in an object's description."""

    async def update(self, pieces: Sequence[Bytes]) -> None:
        """Take more bytes, in a thread where that takes long."""
        if sum(memoryview(piece).nbytes for piece in pieces) > _LONG:
            await run_out(lambda: self._update(pieces))
        else:
            self._update(pieces)

    def _update(self, pieces: Sequence[Bytes]) -> None:
        for piece in pieces:
            if self._md5 is None:
                self._crc = crc32c(piece, self._crc)
            else:
                self._md5.update(piece)

    @property
    def text(self) -> str:
        """The digest, in base64."""
        digest = self._crc.to_bytes(4, "big") if self._md5 is None else self._md5.digest()
        return base64.b64encode(digest).decode()

    @property
    def header(self) -> str:
        """As `x-goog-hash` has it."""
        return f"{'crc32c' if self._md5 is None else 'md5'}={self.text}"
