"""Everything else: pickle, read only where the caller trusts whoever wrote it."""

from __future__ import annotations

import pickle
import struct
from typing import TYPE_CHECKING, cast

from packhouse.errors import InvalidInput
from packhouse.tasks.serializers.contract import Dumped, Serializer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

__all__ = ["LegacyPickle", "Pickle", "PickleWithBuffers", "Protocol4"]

_MAGIC = b"PACKHOUSE-PICKLE5\0"
_HEAD = struct.Struct("<18sHI")  # magic, zero, number of buffers; then the sizes of the pickle and of each buffer
_ALIGN = 64
_OUT_OF_BAND = 4096  # a smaller buffer is cheaper inside


class Pickle(Serializer):
    """Protocol 5. Values with large buffers are written by `PickleWithBuffers`, which is asked first."""

    tag = "pickle-v5"
    trust = "pickle"

    def accepts(self, value: object) -> bool:
        """Take everything."""
        return True

    def dump(self, value: object) -> bytes:
        """Pickle it."""
        return pickle.dumps(value, protocol=5)

    def load(self, data: Buffer) -> object:
        """Unpickle it."""
        return pickle.loads(data)  # noqa: S301 - only where the caller trusts it


class PickleWithBuffers(Serializer):
    """Protocol 5, large buffers beside the pickle: arrays within objects are not copied into it and not out of it.

    The form: a header of 24 bytes (magic, 2 zero bytes, number of buffers as u32), the sizes of the pickle and of each
    buffer as u64, all little-endian; the pickle; each buffer, at a multiple of 64.
    """

    tag = "pickle-v5-buffers"
    trust = "pickle"
    wants_memory = True

    def accepts(self, value: object) -> bool:
        """Take everything; see `dump`."""
        return True

    def dump(self, value: object) -> Dumped:
        """Pickle it, its large buffers as they stand."""
        buffers: list[memoryview] = []

        def beside(buffer: pickle.PickleBuffer) -> bool:
            raw = buffer.raw()
            if raw.nbytes < _OUT_OF_BAND:
                return True
            buffers.append(raw)
            return False

        head = pickle.dumps(value, protocol=5, buffer_callback=beside)
        return _framed(head, buffers) if buffers else head

    def load(self, data: Buffer) -> object:
        """Unpickle it; its arrays are views of `data`, and may be written to."""
        view = memoryview(data)
        head, buffers = _unframed(view)
        return pickle.loads(head, buffers=buffers)  # noqa: S301 - only where the caller trusts it


class Protocol4(Pickle):
    """Protocol 4 in one piece, what today's Metaflow records."""

    tag = "pickle-v4"

    def dump(self, value: object) -> bytes:
        """Pickle it."""
        return pickle.dumps(value, protocol=4)


class LegacyPickle(Pickle):
    """What older versions of Metaflow recorded: read, never written."""

    tag = "gzip+pickle-v2"

    def accepts(self, value: object) -> bool:
        """Take nothing."""
        return False


class LegacyPickle4(LegacyPickle):
    """What older versions of Metaflow recorded for large objects: read, never written."""

    tag = "gzip+pickle-v4"


def _framed(head: bytes, buffers: Sequence[memoryview]) -> list[Buffer]:
    sizes = [len(head), *(buffer.nbytes for buffer in buffers)]
    parts: list[Buffer] = [_HEAD.pack(_MAGIC, 0, len(buffers)) + struct.pack(f"<{len(sizes)}Q", *sizes) + head]
    at = len(cast("bytes", parts[0]))
    for buffer in buffers:
        parts += [bytes(-at % _ALIGN), buffer]
        at += -at % _ALIGN + buffer.nbytes
    return parts


def _unframed(view: memoryview) -> tuple[memoryview, list[memoryview]]:
    try:
        magic, _, count = _HEAD.unpack_from(view)
        sizes = struct.unpack_from(f"<{count + 1}Q", view, _HEAD.size)
    except struct.error:
        magic, sizes = b"", (0,)
    if magic != _MAGIC:
        raise InvalidInput("the artifact is no pickle with buffers", kind="encoding")
    at = _HEAD.size + 8 * len(sizes)
    parts = []
    for number, size in enumerate(sizes):
        at += -at % _ALIGN if number else 0
        parts.append(view[at : at + size])
        at += size
    if at != view.nbytes:
        raise InvalidInput("the artifact is a pickle with buffers of other sizes than it says", kind="encoding")
    return parts[0], parts[1:]
