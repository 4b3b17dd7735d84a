"""Bugs planted in the Python layer, by patching it: what the Rust switches cannot reach."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import anyio
import anyio.to_thread

import packhouse
from packhouse.blobs.jobs import Job
from packhouse.blobs.session import Session
from packhouse.tasks import files
from packhouse.tasks.files import TaskFiles


def _cancelled_is_committed() -> None:
    """A batch whose caller was cancelled is committed all the same."""

    async def withdraw(self: Session) -> None:
        with anyio.CancelScope(shield=True):
            await self.commit([], 0)

    Session.withdraw = withdraw  # type: ignore[method-assign]


def _cleanup_on_exception_only() -> None:
    """What a cancelled caller had on its way stays, and its thread goes on: cancellations are no `Exception`."""
    withdraw = Session.withdraw

    async def result(self: Job[Any]) -> Any:
        try:
            await self.ended.wait()
        except Exception:
            self.stop()
            await self.wait_out()
            raise
        return self.outcome()

    async def withdraw_after_errors(self: Session) -> None:
        if isinstance(sys.exception(), Exception):
            await withdraw(self)

    Session.withdraw = withdraw_after_errors  # type: ignore[method-assign]  # a bug is planted
    Job.result = result  # type: ignore[method-assign]  # as above


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


def _task_done_first() -> None:
    """The mark that an attempt is done is written before its record."""
    write = TaskFiles.write_record

    async def write_record(self: TaskFiles, record: Any, kind: str, attempt: int | None) -> None:
        await self.mark_done(attempt)
        await write(self, record, kind, attempt)

    TaskFiles.write_record = write_record  # type: ignore[method-assign]  # a bug is planted


def _record_unchecked() -> None:
    """Records do not say which blobs they need, so nobody looks whether these are there."""
    write = TaskFiles.write_record_document

    async def write_record_document(self: TaskFiles, value: Any, keys: Any, attempt: int | None) -> None:
        del keys
        await write(self, value, (), attempt)

    TaskFiles.write_record_document = write_record_document  # type: ignore[method-assign]  # a bug is planted


def _older_shown() -> None:
    """The latest attempt that is done is found, although a newer one has begun."""
    attempts = files.Attempts
    attempts.latest = property(lambda self: max(self.done or self.started, default=None))  # type: ignore[assignment,method-assign]  # a bug is planted


PLANTS: dict[str, Callable[[], None]] = {
    "cancelled-is-committed": _cancelled_is_committed,
    "cleanup-on-exception-only": _cleanup_on_exception_only,
    "stream-gathered": _stream_gathered,
    "loop-blocked": _loop_blocked,
    "task-done-first": _task_done_first,
    "task-record-first": _record_unchecked,
    "task-older-shown": _older_shown,
    "packed-trusts-names": _record_unchecked,
}
