"""What an item to save may be, told once: bytes that stand in memory, or a source that is read in pieces."""

from __future__ import annotations

import inspect
import io
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Protocol, TypeAlias, cast

from packhouse.errors import InvalidInput
from packhouse.files import PIECE, PathSource, Stopped, go_on, may_wait, never, wait_readable
from packhouse.turns import Turns

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = [
    "AsyncBinaryFile",
    "AsyncSource",
    "BlobSource",
    "BufferSource",
    "Source",
    "SyncBlobSource",
    "classify",
    "end_generator",
]


_JOINED_AT = 4_096
_END: Any = object()
"""What reading gives behind the last piece: None is no piece, and no end either."""


class AsyncBinaryFile(Protocol):
    """An open binary file whose `read` is awaited: anyio's, aiofiles', and what looks like them."""

    def read(self, size: int, /) -> Awaitable[bytes]:
        """Read at most so many bytes; b"" at the end."""
        ...


SyncBlobSource: TypeAlias = "Buffer | os.PathLike[str] | os.PathLike[bytes] | IO[bytes] | Iterator[Buffer]"
"""One blob: bytes-like, a path, an open binary file, or an iterator of pieces."""

BlobSource: TypeAlias = "SyncBlobSource | AsyncBinaryFile | AsyncIterator[Buffer]"
"""One blob: as `SyncBlobSource`, or an async file or iterator."""


class Source(Protocol):
    """Bytes that a worker thread reads in pieces."""

    @property
    def size(self) -> int | None:
        """How many they will be, as far as that is known before they are read."""
        ...

    def piece(self, stopped: Stopped = never, /) -> bytes:
        """Read the next bytes, about `PIECE`; b"" at the end. Looks at `stopped` where it waits for somebody."""
        ...

    def close(self) -> None:
        """Give back what was opened for it."""
        ...


class _Parts:
    """Pieces of any size, put together; those of a few bytes early, which take more memory as they are."""

    __slots__ = ("_large", "_small", "held")

    def __init__(self) -> None:
        self._large: list[bytes] = []
        self._small: list[bytes] = []
        self.held = 0

    def add(self, part: bytes) -> None:
        self._small.append(part)
        self.held += len(part)
        if len(self._small) >= _JOINED_AT:
            self._large.append(b"".join(self._small))
            self._small.clear()

    def joined(self) -> bytes:
        parts = self._large + self._small
        return parts[0] if len(parts) == 1 else b"".join(parts)


class AsyncSource:
    """Bytes that the event loop reads in pieces.

    Args:
        read: returns the next bytes, of any number; `_END` behind them.
        what: how messages call it.
        owner: what is read from.
    """

    __slots__ = ("_ended", "_owner", "_read", "_what")

    def __init__(self, read: Callable[[], Awaitable[Any]], what: str, owner: object = None) -> None:
        self._read = read
        self._what = what
        self._owner = owner
        self._ended = False

    async def aclose(self) -> None:
        """End a generator that was not read to its end; files and streams stay open for their owner."""
        await end_generator(self._owner)

    async def piece(self) -> bytes:
        """Read the next bytes, about `PIECE`; b"" at the end."""
        parts = _Parts()
        turns = Turns()
        while parts.held < PIECE and not self._ended:  # what is behind an end, on a terminal, is not part of it
            read = await self._read()
            if read is _END:
                self._ended = True
                break
            parts.add(_as_bytes(read, self._what))
            if turns.due():
                await turns.give()
        return parts.joined()


class _PiecesSource:
    """Small pieces of a sync iterator or file, put together.

    Args:
        read: returns the next bytes, of any number; `_END` behind them.
        what: how messages call it.
        fd: what has to be readable before it reads; None where that cannot be told.
    """

    __slots__ = ("_ended", "_fd", "_read", "_what", "size")

    def __init__(self, read: Callable[[], Any], what: str, fd: int | None = None) -> None:
        self._read = read
        self._what = what
        self._fd = fd
        self._ended = False
        self.size = None

    def piece(self, stopped: Stopped = never, /) -> bytes:
        parts = _Parts()
        while parts.held < PIECE and not self._ended:  # as above
            go_on(stopped)
            if self._fd is not None:
                wait_readable(self._fd, stopped)
            read = self._read()
            if read is _END:
                self._ended = True
                break
            parts.add(_as_bytes(read, self._what))
        return parts.joined()

    def close(self) -> None:
        """Leave the file or iterator to whoever handed it in."""


class BufferSource(Iterator[bytes]):
    """Buffers that follow each other and may change as soon as the next blob is asked for: they are read before that.

    Args:
        buffers: each in C order; given up when they are read or closed.
    """

    __slots__ = ("_views", "size")

    def __init__(self, buffers: Sequence[Buffer]) -> None:
        views = [memoryview(buffer) for buffer in buffers]
        self._views = [view if view.format == "B" and view.ndim == 1 else view.cast("B") for view in reversed(views)]
        self.size = sum(view.nbytes for view in self._views)

    def __next__(self) -> bytes:
        piece = self.piece()
        if not piece:
            raise StopIteration
        return piece

    def piece(self, _stopped: Stopped = never, /) -> bytes:
        """Copy the next bytes, `PIECE` unless fewer are left; b"" at the end."""
        taken: list[memoryview] = []
        wanted = PIECE
        while wanted and self._views:
            view = self._views.pop()
            taken.append(view[:wanted])
            if view.nbytes > wanted:
                self._views.append(view[wanted:])
            wanted -= taken[-1].nbytes
        return b"".join(taken)

    def close(self) -> None:
        """Give up the buffers."""
        self._views.clear()


async def end_generator(source: object) -> None:
    """End an async generator that nobody will read any more: its cleaning up does not wait for the collector."""
    if inspect.isasyncgen(source):
        await source.aclose()


def classify(item: object, what: str) -> memoryview | Source | AsyncSource:  # noqa: PLR0911 - one for each form
    """Tell what an item is that is not exactly `bytes`.

    Args:
        item: the blob as the caller gave it.
        what: how messages call it, "item 3" for instance.

    Raises:
        InvalidInput: it is nothing that can be saved; also a TypeError.
    """
    if isinstance(item, (PathSource, BufferSource)):
        return item
    view = _view(item, what)
    if view is not None:
        return view
    if isinstance(item, os.PathLike):
        return PathSource(os.fspath(item), what)
    read = getattr(item, "read", None)
    if read is not None and not isinstance(item, (str, Path)):
        if isinstance(item, io.TextIOBase):
            raise _unusable(item, what, "a text file has characters, not bytes: open it in binary mode")
        if inspect.iscoroutinefunction(read):
            return AsyncSource(lambda: _read_some(read, what), what)
        fd = _waiting(item)
        some = getattr(item, "read1", read) if fd is not None else read  # `read` waits until it has all
        return _PiecesSource(lambda: _some(some(PIECE), what), what, fd)
    if hasattr(item, "__anext__"):
        following = cast("AsyncIterator[object]", item)
        return AsyncSource(lambda: anext(following, _END), what, item)
    if isinstance(item, Iterator):
        return _PiecesSource(lambda: next(item, _END), what)
    hint = "a str is not bytes: encode it, or wrap a file's name in pathlib.Path" if isinstance(item, str) else ""
    raise _unusable(item, what, hint)


def _view(item: object, what: str) -> memoryview | None:
    try:
        view = memoryview(item)  # type: ignore[arg-type] # whether it has a buffer is what is asked
    except TypeError:
        return None
    except (ValueError, BufferError) as error:  # NumPy: a dtype that has no buffer, objects or dates
        raise _unusable(item, what, str(error)) from error
    if not view.c_contiguous:
        raise _unusable(item, what, "its bytes do not stand in one piece in C order: copy it first")
    if view.format and "O" in view.format:
        raise _unusable(item, what, "it holds Python objects, whose bytes are addresses")
    return view


def _waiting(file: object) -> int | None:
    """Return the descriptor of a pipe, a socket or a terminal, if reading the file reads that and nothing else."""
    raw = file.raw if type(file) is io.BufferedReader else file
    if type(raw) is not io.FileIO or raw.closed:
        return None
    fd = raw.fileno()
    return fd if os.get_blocking(fd) and may_wait(fd) else None


async def _read_some(read: Callable[[int], Awaitable[Any]], what: str) -> Any:
    return _some(await read(PIECE), what)


def _some(read: object, what: str) -> Any:
    """Return what a file gave, or `_END` for no bytes: its end."""
    if read is None:
        raise _unusable(read, f"a piece of {what}", "the file does not block, and has nothing yet: set it to block")
    return _as_bytes(read, what) or _END


def _as_bytes(piece: object, what: str) -> bytes:
    if type(piece) is bytes:
        return piece
    view = _view(piece, f"a piece of {what}")
    if view is None:
        raise _unusable(piece, f"a piece of {what}", "")
    return view.tobytes()


def _unusable(item: object, what: str, why: str) -> InvalidInput:
    expected = "bytes-like, a Path, an open binary file or an iterator of bytes"
    name = type(item).__qualname__
    return InvalidInput(
        f"{what} is of type {name}, expected {expected}" + (f" ({why})" if why else ""), kind="item-type"
    )
