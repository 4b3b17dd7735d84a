"""Bugs planted in the Python layer, by patching it: what the Rust switches cannot reach."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread

import packhouse
from packhouse.blobs.session import Session


def _cancelled_is_committed() -> None:
    """A batch whose caller was cancelled is committed all the same."""

    async def withdraw(self: Session) -> None:
        with anyio.CancelScope(shield=True):
            await self.commit([], 0)

    Session.withdraw = withdraw  # type: ignore[method-assign]


def _stream_gathered() -> None:
    """A stream is joined before it is saved."""
    save_blobs = packhouse.BlobStore.save_blobs

    async def save_stream(self: packhouse.BlobStore, source: Any, **options: Any) -> Any:
        return (await save_blobs(self, [b"".join(source)], **options))[0]

    packhouse.BlobStore.save_stream = save_stream  # type: ignore[method-assign]


def _loop_blocked() -> None:
    """What belongs into a thread is done on the loop."""

    async def run_sync(work: Callable[..., Any], *arguments: Any, **_: Any) -> Any:
        await anyio.lowlevel.checkpoint()
        return work(*arguments)

    anyio.to_thread.run_sync = run_sync  # type: ignore[assignment]


PLANTS: dict[str, Callable[[], None]] = {
    "cancelled-is-committed": _cancelled_is_committed,
    "stream-gathered": _stream_gathered,
    "loop-blocked": _loop_blocked,
}
