"""Reading the artifacts of a task: one by one, many at a time, or as text for people."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Collection, ItemsView, Iterable, Sequence
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, TypeAlias

from packhouse.blobs.records import SavedBlob
from packhouse.errors import NameNotFound
from packhouse.tasks.guards import TaskMode, needs
from packhouse.tasks.loading import Wanted, load_values, plan
from packhouse.tasks.record import INCLUDED_FILE

if TYPE_CHECKING:
    from packhouse.tasks.events import Batch
    from packhouse.tasks.flow import FlowDataStore
    from packhouse.tasks.layout import TaskId
    from packhouse.tasks.record import Record

__all__ = ["ArtifactTooLarge", "ArtifactView", "SavedArtifacts"]

SavedArtifacts: TypeAlias = Sequence[SavedBlob]

_NONE_TYPES = (str(type(None)), "<type 'NoneType'>")


class ArtifactTooLarge:
    """Stands for a value that was not loaded."""

    def __str__(self) -> str:
        return "< artifact too large >"


class ArtifactView:
    """The reading half of `TaskDataStore`."""

    _task: TaskId
    _parent: FlowDataStore
    _mode: TaskMode
    _is_done_set: bool

    if TYPE_CHECKING:

        @property
        def mode(self) -> TaskMode: ...  # noqa: D102 - the task's
        @property
        def is_done(self) -> bool: ...  # noqa: D102 - the task's
        @property
        def _record(self) -> Record: ...
        async def ready(self) -> Any: ...  # noqa: D102 - the task's
        def _event(self, name: str) -> Batch: ...

    async def load_artifacts(self, names: Iterable[str]) -> AsyncGenerator[tuple[str, Any]]:
        """Load artifacts, each made anew: equal content gives distinct objects. The order is free.

        Yields:
            (name, value).

        Raises:
            NameNotFound: an unknown name, or a task without any artifact (also a KeyError).
            InvalidInput: the artifact is a pickle, and the datastore was opened with `trust=None`.
            BlobNotFound: the artifact's blob is gone; `CorruptBlob`: it is damaged; the message names both.
        """
        await self.ready()
        wanted = self._wanted(names)
        event = self._event("load_artifacts")
        try:
            async with aclosing(load_values(self._parent.ca_store, wanted, event.add, str(self._task))) as loaded:
                async for pair in loaded:
                    given = [pair]
                    del pair  # so that the next is not read beside it
                    yield given.pop()
        finally:
            event.tell()

    @needs("r")
    def get_artifact_sizes(self, names: Iterable[str]) -> AsyncIterator[tuple[str, int]]:
        """Tell the bytes of artifacts' serialised forms without loading them; of an included file, the file's."""
        return self._sizes(names)

    async def _sizes(self, names: Iterable[str]) -> AsyncIterator[tuple[str, int]]:
        await self.ready()
        for name in names:
            self._record.located(name)
            yield name, await self._size(name)

    async def get(self, name: str, default: Any = None) -> Any:
        """Load one artifact; the default when there is none. A stored None is None."""
        await self.ready()
        return await self[name] if name in self._record.objects else default

    @needs("r")
    async def is_none(self, name: str) -> bool:
        """Tell whether an artifact is None, from its recorded type; an unknown one is."""
        await self.ready()
        return name not in self._record.objects or self._type(name) in _NONE_TYPES

    @needs("r")
    def keys_for_artifacts(self, names: Iterable[str]) -> list[str | None]:
        """Return the blobs' keys; None for an unknown name."""
        return [self._record.objects.get(name) for name in names]

    def items(self) -> ItemsView[str, str]:
        """Return (name, key) of all artifacts."""
        return self._record.objects.items()

    async def to_dict(
        self, show_private: bool = False, max_value_size: int | None = None, include: Collection[str] | None = None
    ) -> dict[str, Any]:
        """Load the artifacts as a dict.

        Args:
            show_private: also those whose names begin with `_`.
            max_value_size: bytes; a larger one, or one of unknown size, is an `ArtifactTooLarge`.
            include: only these names, unless empty.
        """
        await self.ready()
        values: dict[str, Any] = {}
        for name in self._shown(show_private, include):
            if max_value_size is not None and not self._fits(name, await self._size(name), max_value_size):
                values[name] = ArtifactTooLarge()
            else:
                values[name] = self._decoded(name, await self[name])
        return values

    @needs("r")
    async def format(
        self, show_private: bool = False, max_value_size: int | None = None, include: Collection[str] | None = None
    ) -> str:
        """Write the artifacts as sorted lines `*name* [size: bytes type: type] = value`; args are `to_dict`'s."""
        values = await self.to_dict(show_private, max_value_size, include)
        return "\n".join([self._line(name, await self._size(name), values[name]) for name in sorted(values)])

    def __contains__(self, name: object) -> bool:
        return name in self._record.objects

    async def __getitem__(self, name: str) -> Any:
        async with aclosing(self.load_artifacts([name])) as loaded:
            async for _, value in loaded:
                return value
        raise NameNotFound(f"task {self._task} has no artifact {name!r}", kind="no-artifact")

    def _wanted(self, names: Iterable[str]) -> list[Wanted]:
        if not self._record.objects:
            raise NameNotFound(f"task {self._task} has no artifacts", kind="no-artifact")
        return list(plan(self._record, names, self._parent.serializers))

    def _type(self, name: str) -> str:
        return str((self._record.info.get(name) or {}).get("type", "object"))

    def _shown(self, show_private: bool, include: Collection[str] | None) -> list[str]:
        names = (name for name in self._record.objects if not include or name in include)
        return [name for name in names if show_private or not name.startswith("_")]

    def _decoded(self, name: str, value: Any) -> Any:
        return value.decode(name) if self._type(name) == INCLUDED_FILE else value

    def _line(self, name: str, size: int, value: Any) -> str:
        return f"*{name}* [size: {size} type: {self._type(name)}] = {value}"

    def _fits(self, name: str, size: int, most: int) -> bool:
        info = self._record.info.get(name) or {}
        # A pickle is never empty: a size of 0 says that nobody knew it.
        known = size > 0 or ("size" in info and "pickle" not in str(info.get("encoding", "pickle")))
        return known and size <= most

    async def _size(self, name: str) -> int:
        size = self._recorded_size(name)
        return int((await self[name]).size) if size is None else size

    def _recorded_size(self, name: str) -> int | None:
        """Tell the size in the record; None for an included file, whose value knows it."""
        if self._type(name) == INCLUDED_FILE:
            return None
        return int((self._record.info.get(name) or {}).get("size", 0))
