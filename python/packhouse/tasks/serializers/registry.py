"""Which serializer writes a value, which reads a tag, and whether it may."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from packhouse.errors import InvalidInput, UnsupportedStore
from packhouse.tasks.serializers.arrays import NpySerializer, SafetensorsSerializer
from packhouse.tasks.serializers.contract import Dumped, Serializer, Trust
from packhouse.tasks.serializers.frames import ArrowSerializer, FrameSerializer
from packhouse.tasks.serializers.pickles import LegacyPickle, LegacyPickle4, Pickle, PickleWithBuffers, Protocol4
from packhouse.tasks.serializers.plain import BytesSerializer, JsonSerializer, TextSerializer

__all__ = ["Packed", "Serializers"]

_SMALL = 1 << 20  # pieces below this are joined: one small blob costs less than a stream
_METAFLOW = "metaflow"
_PICKLE = "pickle"


class Packed(NamedTuple):
    """A serialised value and what is recorded of it."""

    content: Dumped
    info: dict[str, Any]


class _Writer(NamedTuple):
    """A serializer that writes."""

    serializer: Serializer
    has_buffers: bool
    """Whether what it writes without buffers is recorded as a plain pickle."""
    source: str
    """Who has it, recorded where it is not ours; else empty."""


class Serializers:
    """The serializers of one datastore, asked in order; the first that accepts a value writes it, pickle last.

    Args:
        own: a user's serializers, asked before ours.
        choice: None for all, `"pickle"` to write and record what Metaflow would.
        trust: `"pickle"` to read pickles; None to refuse them.
    """

    def __init__(self, own: Iterable[Serializer] = (), *, choice: str | None = None, trust: Trust = "pickle") -> None:
        if choice not in (None, _PICKLE):
            raise InvalidInput(
                f"serializers is None, 'pickle' or serializers of your own, not {choice!r}", kind="option"
            )
        if trust not in ("pickle", None):
            raise InvalidInput(f"trust is 'pickle' or None, not {trust!r}", kind="option")
        self.trust: Trust = trust
        self._own = tuple(own)
        self._protocol4 = (self._writer(Protocol4()),)
        asked = (*self._own, *_typed(), PickleWithBuffers())
        self._writers = self._protocol4 if choice == _PICKLE else tuple(map(self._writer, asked))
        readers = (*_typed(), PickleWithBuffers(), Pickle(), Protocol4(), LegacyPickle(), LegacyPickle4())
        self._readers: dict[str, Serializer] = {one.tag: one for one in readers}
        for one in self._own:
            self._register(one)

    def pack(self, name: str, value: object, *, protocol4: bool = False) -> Packed:
        """Serialise an artifact.

        Args:
            name: for messages.
            value: anything.
            protocol4: pickle with protocol 4, in one piece.

        Raises:
            InvalidInput: no serializer can; the message names the artifact.
        """
        failure: Exception | None = None
        for writer in self._protocol4 if protocol4 else self._writers:
            try:
                if not writer.serializer.accepts(value):
                    continue
                packed = _packed(writer, value, writer.serializer.dump(value))
            except Exception as error:  # noqa: BLE001 - a user's code; the next one may do better
                failure = error
                continue
            return packed
        message = f"artifact {name!r} of type {type(value).__qualname__} cannot be pickled: {failure!r}"
        raise InvalidInput(message, kind="unpicklable") from failure

    def reader(self, name: str, info: Mapping[str, Any]) -> Serializer:
        """Return what loads an artifact.

        Raises:
            InvalidInput: it is a pickle, and pickles are not trusted here.
            UnsupportedStore: nothing here reads what it was written with.
        """
        tag = info.get("encoding", LegacyPickle.tag)
        reader = self._readers.get(tag) if isinstance(tag, str) else None
        if reader is None:
            source = (info.get("serializer_info") or {}).get("source", "")
            hint = f": it was written by {source}, register that" if source else ""
            raise UnsupportedStore(
                f"no serializer reads artifact {name!r} of encoding {tag!r}{hint}", kind="serializer"
            )
        if reader.trust is not None and self.trust != reader.trust:
            raise InvalidInput(
                f"artifact {name!r} is a pickle, and loading a pickle runs code of whoever wrote it: "
                "open the datastore with trust='pickle' if you trust everyone who can write to it",
                kind="untrusted",
            )
        return reader

    def _register(self, one: object) -> None:
        if not isinstance(one, Serializer):
            raise InvalidInput(f"a serializer is an instance of Serializer, not {one!r}", kind="option")
        tag = getattr(one, "tag", None)
        if not isinstance(tag, str) or not tag:
            raise InvalidInput(f"the tag of {one!r} is text, not {tag!r}", kind="option")
        if tag in self._readers:
            other = type(self._readers[tag]).__qualname__
            message = f"{type(one).__qualname__} has the tag {tag!r} of {other}: who would read what the other wrote?"
            raise InvalidInput(message, kind="option")
        self._readers[tag] = one

    def _writer(self, one: Serializer) -> _Writer:
        kind = type(one)
        source = f"{kind.__module__}.{kind.__qualname__}" if one in self._own else ""
        return _Writer(one, isinstance(one, PickleWithBuffers), _METAFLOW if isinstance(one, Protocol4) else source)


def _packed(writer: _Writer, value: object, dumped: Any) -> Packed:
    tag, content = writer.serializer.tag, _pieces(dumped)
    if isinstance(content, bytes):
        size = len(content)
        if writer.has_buffers:
            tag = Pickle.tag
    else:
        size = sum(memoryview(part).nbytes for part in content)
        if size < _SMALL:
            content = b"".join(content)
    info: dict[str, Any] = {"size": size, "type": str(type(value)), "encoding": tag}
    if writer.source:
        info["serializer_info"] = {"source": writer.source}
    return Packed(content, info)


def _pieces(dumped: Any) -> Dumped:
    """Take what `dump` returned, which may be a user's: any bytes-like object, or several."""
    if isinstance(dumped, (bytes, list)):
        return dumped
    try:
        return [memoryview(dumped)]
    except TypeError:
        return list(dumped)


def _typed() -> tuple[Serializer, ...]:
    return (
        BytesSerializer(),
        TextSerializer(),
        NpySerializer(),
        JsonSerializer(),
        SafetensorsSerializer(),
        ArrowSerializer(),
        FrameSerializer(),
    )
