"""The part of the store's API that the harnesses use, and the stores that can be put under it."""

from __future__ import annotations

from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol


class Saved(Protocol):
    """What saving one blob tells."""

    @property
    def key(self) -> str: ...
    @property
    def existed(self) -> bool: ...


class Loaded(Protocol):
    """One loaded blob."""

    @property
    def key(self) -> str: ...
    @property
    def data(self) -> Any: ...


class Document(Protocol):
    """One named document."""

    @property
    def doc(self) -> Any: ...
    @property
    def version(self) -> str: ...


class Names(Protocol):
    """Named documents."""

    async def get(self, name: str) -> Document: ...
    async def put(self, name: str, doc: Any) -> Any: ...
    async def put_if_absent(self, name: str, doc: Any) -> Any: ...
    async def replace(self, name: str, doc: Any, version: str) -> Any: ...
    async def delete(self, name: str, *, version: str | None = None) -> Any: ...


class Store(Protocol):
    """A store."""

    @property
    def names(self) -> Names: ...
    async def save_blobs(
        self, blobs: Iterable[Any] | AsyncIterable[Any], *, check: bool = False
    ) -> Sequence[Saved]: ...
    async def save_stream(self, source: Any) -> Saved: ...
    def load_blobs(self, keys: Iterable[str], *, ordered: bool = True) -> AsyncIterator[Loaded]: ...
    async def load(self, key: str) -> Any: ...
    async def load_range(self, key: str, start: int, stop: int) -> Any: ...
    async def contains(self, key: str) -> bool: ...


@dataclass(frozen=True)
class Complaints:
    """The store's own exception classes, by what they say."""

    any: type[Exception]
    missing: type[Exception]
    corrupt: type[Exception]
    conflict: type[Exception]
    uncertain: type[Exception]
    no_name: type[Exception]


class Subject(Protocol):
    """A kind of store under test."""

    complaints: Complaints

    def open(self, path: Path, *, mode: str = "a") -> AbstractAsyncContextManager[Store]:
        """Open the store in a folder."""
        ...

    def leftovers(self, path: Path) -> list[str]:
        """Files that no living writer and no commit needs. Looked at while no store is open."""
        ...

    def precious(self, path: Path) -> list[Path]:
        """Every file whose bytes matter."""
        ...

    def packs(self, path: Path) -> list[Path]:
        """Packs a collector may condemn, under the names it would condemn them by."""
        ...

    async def verify(self, store: Store) -> list[str]:
        """What the store's own check of everything complains of."""
        ...

    async def listed(self, store: Store, prefix: str) -> list[str]:
        """All names with a prefix, in order."""
        ...

    async def put_many(self, store: Store, documents: Sequence[tuple[str, Any]]) -> None:
        """Put many names in one batch; of the same name the last counts."""
        ...

    def open_read(self, store: Store, key: str) -> AbstractAsyncContextManager[Any]:
        """A file-like reader of one blob."""
        ...


def subject(name: str) -> Subject:
    """`packhouse`, that in a bucket, `bucket:URL`, or `naive` with planted bugs: `naive:no_fsync,no_verify`."""
    if name == "packhouse":
        from tests.torture.real import Real  # noqa: PLC0415 - the naive store must run without it

        return Real()
    kind, _, bugs = name.partition(":")
    if kind == "bucket":
        from tests.torture.bucket import Bucket  # noqa: PLC0415 - as above

        return Bucket(bugs)
    if kind != "naive":
        raise ValueError(f"no such store: {name!r}")
    from tests.torture.naive.store import Naive  # noqa: PLC0415

    return Naive(frozenset(bugs.split(",")) - {""})
