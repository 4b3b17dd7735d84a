"""A folder of gzip files: saved durably, loaded verified."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, NamedTuple, Self

from packhouse._engine import Cancel, GzipBatch, GzipFiles, GzipFound
from packhouse.compat.metaflow.groups import GROUP_BYTES, groups

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["GzipFolder", "Read", "read_windows"]

_LOCATED = 128
_WINDOW_BYTES = 16 << 20


class Read(NamedTuple):
    """What became of a key: its bytes, None where there is no file, or why they cannot be had."""

    key: str
    outcome: bytes | Exception | None


class GzipFolder:
    """One gzip file for each blob, `<first two digits>/<SHA-1>`, in a folder that others may write to as well.

    Nothing stays open between calls; a forked child may use it.

    Args:
        path: the folder; made, durably, by the first save.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def save(self, blobs: Iterable[Buffer], *, raw: bool = False, check: bool = False) -> list[str]:
        """Save blobs; durable on return, and until then invisible.

        Files that exist are left alone when their lengths and checksum say that they hold the content. A damaged one
        is replaced when that shows, when a reader has noted it, or with `check`.

        Args:
            blobs: bytes-like objects, taken lazily; packed beside the producer, about 64 MiB of them held at most,
                or one that is larger.
            raw: let new files hold the content as it is, with a `_meta` file beside them that says so.
            check: read existing files as a whole.

        Returns:
            The keys in the order of the blobs.

        Raises:
            TypeError: an item is not bytes-like.
            StorageError: a file cannot be written or synced.
        """
        files = GzipFiles.open(self._path, create=True)
        if files is None:
            raise AssertionError(self._path)
        batch, cancel = files.begin(check), Cancel()
        keys: list[str] = []
        try:
            with _Beside(cancel) as beside:
                for group in groups(blobs):
                    keys += beside.add(batch, group, raw=raw)
                    del group  # it is not held while the next is made
                keys += beside.rest()
            batch.commit()
        finally:
            batch.withdraw()
        return keys

    def load(self, keys: Sequence[str]) -> Iterator[Read]:
        """Load blobs, verified, in order and a window of about 16 MiB at a time.

        Args:
            keys: 40 lower-case hex digits each.

        Yields:
            Each key's bytes; None where there is no file; `CorruptBlob` where its content has another SHA-1.
        """
        if not keys:
            return
        files = GzipFiles.open(self._path, create=False)
        if files is None:
            yield from (Read(key, None) for key in keys)
            return
        cancel = Cancel()
        for first in range(0, len(keys), _LOCATED):
            some = keys[first : first + _LOCATED]
            yield from read_windows(files.locate(some, cancel), some, cancel)


def read_windows(found: GzipFound, keys: Sequence[str], cancel: Cancel) -> Iterator[Read]:
    """Read located blobs, about 16 MiB at a time."""
    start, size = 0, 0
    sizes = [one or 0 for one in found.sizes()]
    for stop, following in zip(range(1, len(keys) + 1), [*sizes[1:], _WINDOW_BYTES], strict=True):
        size += sizes[stop - 1]
        if size + following > _WINDOW_BYTES or stop == len(keys):
            outcomes = found.fetch(start, stop, cancel)
            outcomes.reverse()
            for key in keys[start:stop]:
                yield Read(key, outcomes.pop())
            start, size = stop, 0


class _Beside:
    """Packs one group in a thread while the producer makes the next."""

    def __init__(self, cancel: Cancel) -> None:
        self._cancel = cancel
        self._pool: ThreadPoolExecutor | None = None
        self._running: Future[list[str]] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._cancel.cancel()
        if self._pool is not None:
            self._pool.shutdown(wait=True)

    def add(self, batch: GzipBatch, group: list[Buffer], *, raw: bool) -> list[str]:
        """Begin with a group; the keys of the one before."""
        keys = self.rest()
        self._pool = self._pool or ThreadPoolExecutor(1, thread_name_prefix="packhouse")
        self._running = self._pool.submit(batch.add, group, raw, self._cancel)
        if sum(memoryview(blob).nbytes for blob in group) >= 2 * GROUP_BYTES:
            # The producer must not make the next one while one as large is packed.
            keys += self.rest()
        return keys

    def rest(self) -> list[str]:
        """Wait for what runs; its keys."""
        running, self._running = self._running, None
        return running.result() if running is not None else []
