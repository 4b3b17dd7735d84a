"""What carries a store's objects somewhere: seven verbs on names and bytes.

A name is given by packhouse, never by a user: see `check_object_name`. No name is also the folder of another. Every
verb is atomic for the one name it touches, and what it has acknowledged is durable, and seen by every later `get`,
`head` and `list` of anybody (strong consistency). Errors are packhouse's own; none of them, and no log line or `repr`,
holds a secret.
"""

from __future__ import annotations

import mmap
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import NamedTuple, Self, TypeAlias

import anyio

from packhouse.errors import InvalidInput

__all__ = [
    "LONGEST_NAME",
    "REFUSED",
    "Body",
    "Bytes",
    "Fetched",
    "ObjectInfo",
    "ObjectStore",
    "Stream",
    "check_object_name",
]

Bytes: TypeAlias = bytes | bytearray | memoryview
LONGEST_NAME = 900
"""Bytes of a name, a store's own prefix not counted."""
REFUSED = ("access-denied", "bad-credentials", "clock-skew", "no-bucket", "wrong-region", "redirected", "certificate")
"""Kinds of errors that say for certain that nothing was written, and nothing will be."""
_MANY = 1 << 20
_PART = r"(?!\.{1,2}(?:/|\Z))[A-Za-z0-9!=_~.-][A-Za-z0-9!=_~.+-]*"
_NAME = re.compile(f"{_PART}(?:/{_PART})*")


class ObjectInfo(NamedTuple):
    """An object without its bytes."""

    name: str
    """As it was put."""
    size: int
    """Bytes."""
    version: str
    """Opaque; another one whenever the bytes are others. What `put_if` compares."""
    modified: float
    """When it was put, by the store's own clock: seconds since 1970."""


class Fetched(NamedTuple):
    """What `get` read."""

    data: memoryview
    """The bytes asked for, all of them; the buffer that was handed in, where there was one."""
    info: ObjectInfo
    """The whole object they are of."""


@dataclass(frozen=True, slots=True)
class Stream:
    """A body that is read once, piece by piece.

    Attributes:
        pieces: the bytes in order, in pieces of any size.
        size: bytes in all; None where only the end tells.
    """

    pieces: AsyncIterable[Bytes]
    size: int | None = None

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncIterator[Bytes]]:
        """Iterate over the pieces, and close a generator that is left before its end."""
        pieces = aiter(self.pieces)
        try:
            yield pieces
        finally:
            if isinstance(pieces, AsyncGenerator):
                with anyio.CancelScope(shield=True):
                    await pieces.aclose()


Body: TypeAlias = Bytes | Stream


def check_object_name(name: str, *, prefix: bool = False) -> str:
    """Return the name: at most 900 of `A-Za-z0-9!=_~.+-` in parts between `/`, none `.`, `..` or with a `+` first.

    What breaks clients, signers or file systems (empty parts, control characters, dots that are resolved on the way)
    never leaves us. A prefix may be empty or end within a part, or after it.

    Raises:
        InvalidInput: it is no such name.
    """
    checked = name + "x" if prefix else name  # what a prefix lacks of a name
    if len(name) <= LONGEST_NAME and _NAME.fullmatch(checked):
        return name
    raise InvalidInput(f"{name[:80]!a} cannot be an object's name", kind="object-name")


class ObjectStore(ABC):
    """Names and their bytes, somewhere. Used within `async with`; one event loop at a time.

    A verb that raises has had its whole effect on an object or none. Of `put_if` it is known which, but for
    `CommitUncertain`: any other error says that nothing was written. A `put`, `delete` or `copy` may have had its
    effect where the error is that of a lost answer (`connection-lost`, `deadline`, `service-failed`): repeat it. A verb
    that is cancelled may have had its effect.
    """

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, for messages: no secret in it."""

    @abstractmethod
    async def get(
        self, name: str, *, start: int = 0, length: int | None = None, into: memoryview | None = None
    ) -> Fetched:
        """Read an object, or a range of it.

        Args:
            name: the object.
            start: the first byte.
            length: how many bytes; None for all there are from `start`: whoever says so trusts the store with how many
                that are, so a bucket reads 64 MiB at most.
            into: where they go: writable, contiguous, exactly `length` bytes.

        Raises:
            NameNotFound: there is no such object.
            InvalidInput: the range is not wholly within the object (`object-range`), or no length was named and there
                is more than the store reads then (`object-large`).
        """

    @abstractmethod
    async def put(self, name: str, body: Body) -> ObjectInfo:
        """Write an object, in place of what had its name. Large bodies go in parts; a failure leaves none of them.

        Raises:
            InvalidInput: a stream had another size than it said (`object-size`).
        """

    @abstractmethod
    async def put_if(self, name: str, body: Bytes, *, version: str | None) -> ObjectInfo:
        """Write a small object if nothing has its name (`version=None`), or if what has it is still that version.

        Raises:
            NameConflict: the condition does not hold; nothing was written.
            CommitUncertain: the answer was lost, and what is there now does not tell (`put-uncertain`).
            UnsupportedStore: conditions are not to be had here (`conditional-writes`).
        """

    @abstractmethod
    async def delete(self, names: Iterable[str]) -> None:
        """Remove objects, any number; what is gone already is no error. On failure some of them may be left."""

    @abstractmethod
    def list(self, prefix: str = "") -> AsyncIterator[ObjectInfo]:
        """Tell every object whose name begins so, in no order; what comes and goes meanwhile may be told or not."""

    @abstractmethod
    async def head(self, name: str) -> ObjectInfo:
        """Tell about one object.

        Raises:
            NameNotFound: there is no such object.
        """

    @abstractmethod
    async def copy(self, source: str, target: str) -> bool:
        """Copy within the store without reading the bytes here; `False` where the store cannot.

        Raises:
            NameNotFound: there is no source.
        """

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def check_range(size: int, start: int, length: int | None, name: str) -> int:
    """Return how many bytes a range of an object of `size` bytes has.

    Raises:
        InvalidInput: it is not wholly within.
    """
    count = size - start if length is None else length
    if start < 0 or count < 0 or start + count > size:
        message = f"cannot read {count} bytes of {name} from {start}: it has {size}"
        raise InvalidInput(message, kind="object-range")
    return count


def check_target(into: memoryview | None, count: int, name: str) -> memoryview:
    """Return where `count` bytes go: `into`, or new memory.

    Raises:
        InvalidInput: `into` has another size, or cannot be written.
    """
    if into is None:
        return new_memory(count)
    if into.readonly or not into.c_contiguous or into.nbytes != count:
        message = f"the buffer for {count} bytes of {name} is read-only, not contiguous or of {into.nbytes} bytes"
        raise InvalidInput(message, kind="buffer")
    return into.cast("B") if into.format != "B" or into.ndim != 1 else into


def new_memory(count: int) -> memoryview:
    """Return so many zeros; many are cleared by whoever touches them first, which takes half a second a GiB."""
    if count < _MANY:
        return memoryview(bytearray(count))
    try:
        return memoryview(mmap.mmap(-1, count, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS))
    except OSError as error:
        raise MemoryError(f"{count} bytes") from error


async def gather_body(body: Body, name: str) -> Bytes:
    """Return a body in one piece.

    Raises:
        InvalidInput: a stream had another size than it said.
    """
    if not isinstance(body, Stream):
        return body
    async with body.reading() as pieces:
        whole = b"".join([bytes(piece) async for piece in pieces])
    check_size(body, len(whole), name)
    return whole


def check_size(body: Stream, size: int, name: str) -> None:
    """Hold a stream to what it said.

    Raises:
        InvalidInput: it had another size.
    """
    if body.size is not None and body.size != size:
        raise InvalidInput(f"the stream for {name} had {size} bytes, not {body.size}", kind="object-size")
