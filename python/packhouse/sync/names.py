"""`store.names` without await."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Self

from packhouse.names.documents import check_names, encode_refs

if TYPE_CHECKING:
    from packhouse.names import Document, NamedDocument
    from packhouse.names import Names as AsyncNames
    from packhouse.names.listing import NameList as AsyncNameList
    from packhouse.sync.portal import Portal

__all__ = ["NameList", "Names"]


class NameList(Iterator[str]):
    """The names that begin with a prefix, as `packhouse.names.NameList`."""

    def __init__(self, portal: Portal, inner: AsyncNameList) -> None:
        self._portal = portal
        self._inner = inner
        self._names: Iterator[str] = iter(())

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> str:
        for name in self._names:
            return name
        self._names = iter(self.page(1_000))
        return next(self._names)

    def page(self, limit: int) -> list[str]:
        """Return the next names, at most so many; an empty list at the end."""
        return self._portal.call(self._inner.page, limit)


class Names:
    """Small JSON documents under names, as `packhouse.Names`. Got from `store.names`."""

    def __init__(self, portal: Portal, inner: AsyncNames) -> None:
        self._portal = portal
        self._inner = inner

    def get(self, name: str) -> NamedDocument:
        """Read a document. As `packhouse.Names.get`."""
        return self._portal.call(self._inner.get, name)

    def get_many(self, names: Iterable[str]) -> list[NamedDocument | None]:
        """Read documents; None stands for a name that no document has."""
        return self._portal.call(self._inner.get_many, check_names(names))

    def put(self, name: str, doc: object, *, refs: Iterable[str] = ()) -> str:
        """Let the name stand for this document from now on; returns its version. As `packhouse.Names.put`."""
        keys = encode_refs(refs)

        async def put() -> str:
            return await self._inner.put(name, doc, refs=keys)

        return self._portal.call(put)

    def put_many(self, documents: Iterable[Document]) -> list[str]:
        """Put many documents for one sync; returns their versions."""
        return self._portal.call(self._inner.put_many, _read_here(documents))

    def put_if_absent(self, name: str, doc: object, *, refs: Iterable[str] = ()) -> str:
        """Put a document unless the name stands for one already. As `packhouse.Names.put_if_absent`."""
        keys = encode_refs(refs)

        async def put() -> str:
            return await self._inner.put_if_absent(name, doc, refs=keys)

        return self._portal.call(put)

    def put_if_absent_many(self, documents: Iterable[Document]) -> list[str | None]:
        """Put many documents for one sync; None stands for a name that had one already."""
        return self._portal.call(self._inner.put_if_absent_many, _read_here(documents))

    def replace(self, name: str, doc: object, version: str, *, refs: Iterable[str] = ()) -> str:
        """Put a document if what stands there is of this version still. As `packhouse.Names.replace`."""
        keys = encode_refs(refs)

        async def replace() -> str:
            return await self._inner.replace(name, doc, version, refs=keys)

        return self._portal.call(replace)

    def replace_many(self, documents: Iterable[Document]) -> list[str | None]:
        """Replace many documents, each with its `version`, for one sync; None stands for one that had changed."""
        return self._portal.call(self._inner.replace_many, _read_here(documents))

    def delete(self, name: str, *, version: str | None = None) -> None:
        """Delete a document. As `packhouse.Names.delete`."""

        async def delete() -> None:
            await self._inner.delete(name, version=version)

        self._portal.call(delete)

    def delete_many(self, names: Iterable[str]) -> list[bool]:
        """Delete many documents for one sync; False stands for a name that no document had."""
        return self._portal.call(self._inner.delete_many, check_names(names))

    def list(self, prefix: str = "", *, after: str | None = None) -> NameList:
        """List the names that begin with a prefix, as they are at one moment. As `packhouse.Names.list`."""
        return NameList(self._portal, self._inner.list(prefix, after=after))


def _read_here(documents: Iterable[Document]) -> list[Document]:
    """Read what was handed in, and the refs of each, in the calling thread: they may use the store themselves."""
    return [each._replace(refs=tuple(encode_refs(each.refs))) for each in documents]
