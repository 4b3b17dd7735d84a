"""Artifacts on their way into the store: serialised one by one, saved in one batch with one commit."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from packhouse.blobs.sources import BlobSource, BufferSource, SyncBlobSource, end_generator
from packhouse.errors import InvalidInput
from packhouse.files import PIECE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packhouse.blobs.jobs import Jobs
    from packhouse.blobs.records import SavedBlob
    from packhouse.tasks.record import Record
    from packhouse.tasks.serializers import Serializers

__all__ = ["ArtifactBatch", "ForceV4", "Pairs", "SyncPairs", "force_and_hint"]

SyncPairs: TypeAlias = Iterable[tuple[str, object]]
Pairs: TypeAlias = SyncPairs | AsyncIterable[tuple[str, object]]
"""What `save_artifacts` takes: an iterable, sync or async, of (name, value)."""
ForceV4: TypeAlias = bool | Mapping[str, bool]
"""Whether to pickle with protocol 4: all artifacts, or those named."""

_MOST_AT_ONCE = 256
_BYTES_AT_ONCE = 4 << 20


class ArtifactBatch:
    """One `save_artifacts`: what is serialised, and, once it is committed, what is recorded of it.

    The iterable is consumed lazily, once. Nothing is recorded of a batch that fails.
    """

    def __init__(self, pairs: object, serializers: Serializers, force_v4: ForceV4) -> None:
        if not isinstance(pairs, (Iterable, AsyncIterable)) or isinstance(pairs, (str, bytes, Mapping)):
            message = f"artifacts are an iterable of (name, value), not {type(pairs).__qualname__}"
            raise InvalidInput(message, kind="item-type")
        self._pairs = pairs
        self._serializers = serializers
        self._forced: Mapping[str, bool] = force_v4 if isinstance(force_v4, Mapping) else {}
        self._force = force_v4 is True
        self._infos: list[tuple[str, dict[str, Any]]] = []

    @property
    def size(self) -> int:
        """Bytes that were serialised until now."""
        return sum(info["size"] for _, info in self._infos)

    def sources(self) -> Iterator[SyncBlobSource]:
        """Serialise one artifact after the other, in the caller's thread."""
        if not isinstance(self._pairs, Iterable):
            raise InvalidInput("artifacts are an async iterable, which only the async API can read", kind="item-type")
        yield from map(self._packed, self._pairs)  # holds no value while the next is made

    async def pull(self, jobs: Jobs) -> AsyncIterator[BlobSource]:
        """Serialise in worker threads: small artifacts many at a time, large ones one by one."""
        if isinstance(self._pairs, AsyncIterable):
            pairs = aiter(self._pairs)
            try:
                async for pair in pairs:
                    packed = await jobs.call(partial(self._packed, pair))
                    del pair  # it is not held while the next is made
                    yield packed
            finally:
                await end_generator(pairs)
            return
        sources, count = self.sources(), 1
        while True:
            made: list[BlobSource] = []
            error = await jobs.call(partial(_take, sources, count, made))
            held = sum(len(one) if isinstance(one, bytes) else _BYTES_AT_ONCE for one in made)
            for source in made:
                yield source
            if error is not None:
                raise error
            if len(made) < count and held < _BYTES_AT_ONCE:
                return
            count = 1 if held >= _BYTES_AT_ONCE else min(2 * count, _MOST_AT_ONCE)

    def finish(self, saved: Sequence[SavedBlob], record: Record) -> None:
        """Record what was committed."""
        record.put_all(self._infos, saved)

    def _packed(self, pair: object) -> SyncBlobSource:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise InvalidInput(
                f"artifacts are pairs of name and value, not {type(pair).__qualname__}", kind="item-type"
            )
        name = _checked_name(pair[0])
        content, info = self._serializers.pack(name, pair[1], protocol4=self._force or bool(self._forced.get(name)))
        self._infos.append((name, info))
        if isinstance(content, bytes):
            return content
        source = BufferSource(content)
        return source if source.size > PIECE else source.piece()


def force_and_hint(force_v4: object, len_hint: int) -> tuple[ForceV4, int]:
    """Tell the two signatures of Metaflow apart: an int in second place is a hint, a bool or dict the protocol.

    Raises:
        InvalidInput: it is neither.
    """
    if isinstance(force_v4, (bool, Mapping)):
        return force_v4, len_hint
    if isinstance(force_v4, int):
        return False, force_v4
    raise InvalidInput(f"force_v4 is a bool or a dict of bools, not {force_v4!r}", kind="option")


def _take(sources: Iterator[SyncBlobSource], count: int, made: list[BlobSource]) -> Exception | None:
    """Take at most so many, and fewer when they grow large; an error waits until those before it are saved."""
    held = 0
    try:
        for source in islice(sources, count):
            made.append(source)
            held += len(source) if isinstance(source, bytes) else _BYTES_AT_ONCE
            if held >= _BYTES_AT_ONCE:
                break
    except Exception as error:  # noqa: BLE001 - raised by `pull`
        return error
    return None


def _checked_name(name: object) -> str:
    if isinstance(name, str):
        if name.isascii():
            return name
        try:
            name.encode()
        except UnicodeEncodeError:
            pass
        else:
            return name
    raise InvalidInput(f"an artifact's name is text that UTF-8 can say, not {name!r}", kind="artifact-name")
