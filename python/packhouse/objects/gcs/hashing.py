"""CRC32C or MD5 of what is sent, held against what the service says it got."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from typing import Any

from packhouse.objects.contract import Bytes
from packhouse.objects.threads import run_out

__all__ = ["Hash"]

_LONG = 128 << 10


class Hash:
    """The digest of a body that comes in parts, as the service writes it.

    Args:
        kind: `crc32c` or `md5`; MD5 where google-crc32c is missing.
    """

    def __init__(self, kind: str) -> None:
        self._state: Any = None
        if kind == "crc32c":
            try:
                import google_crc32c  # noqa: PLC0415 - an extra
            except ImportError:
                pass
            else:
                untyped: Any = google_crc32c
                self._state = untyped.Checksum()
        self.field = "md5Hash" if self._state is None else "crc32c"
        """What it is called in an object's description."""
        if self._state is None:
            self._state = hashlib.md5(usedforsecurity=False)

    async def update(self, pieces: Sequence[Bytes]) -> None:
        """Take more bytes, in a thread where that takes long."""
        if sum(memoryview(piece).nbytes for piece in pieces) > _LONG:
            await run_out(lambda: self._update(pieces))
        else:
            self._update(pieces)

    def _update(self, pieces: Sequence[Bytes]) -> None:
        for piece in pieces:
            # google-crc32c takes nothing but bytes-like memory that it can read at once
            self._state.update(memoryview(piece) if self.field == "md5Hash" else bytes(piece))

    @property
    def text(self) -> str:
        """The digest, in base64."""
        return base64.b64encode(self._state.digest()).decode()

    @property
    def header(self) -> str:
        """As `x-goog-hash` has it."""
        return f"{'md5' if self.field == 'md5Hash' else 'crc32c'}={self.text}"
