"""`store.names`: read, put, compare-and-swap, list; one document or many for one sync."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from packhouse._engine import Cancel
from packhouse.errors import (
    CommitUncertain,
    CorruptBlob,
    InvalidInput,
    NameConflict,
    NameNotFound,
    PackhouseError,
    StoreClosed,
)
from packhouse.names.documents import Document, NamedDocument, check_name, check_names, decode, encode, encode_refs
from packhouse.names.listing import NameList

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from packhouse.blobs.core import Core

__all__ = ["Names"]

T = TypeVar("T")

_Change = tuple[str, bytes | None, list[str], str]


class Names:
    """Small JSON documents under names. Got from `store.names`.

    A name is any text of at most 700 bytes in UTF-8. Names change one by one, each atomically; the batch forms share
    one sync and say for each name what became of it. A document's `refs` are the keys of blobs that it keeps alive:
    they must be stored.
    """

    def __init__(self, opened: Callable[[], Core], writable: Callable[[str], Core]) -> None:
        self._opened = opened
        self._writable = writable

    async def get(self, name: str) -> NamedDocument:
        """Read a document.

        Raises:
            NameNotFound: no document has the name.
            CorruptBlob: it is damaged.
        """
        (found,) = await self._get([check_name(name)])
        return _result(found)

    async def get_many(self, names: Iterable[str]) -> list[NamedDocument | None]:
        """Read documents; None stands for a name that no document has.

        Raises:
            CorruptBlob: one of them is damaged.
        """
        return [_result_or_none(found, NameNotFound) for found in await self._get(check_names(names))]

    async def put(self, name: str, doc: object, *, refs: Iterable[str] = ()) -> str:
        """Let the name stand for this document from now on, whatever stood there; returns its version.

        Raises:
            InvalidInput: a name or document that cannot be kept.
            BlobNotFound: a key of `refs` has no blob; nothing is written.
            CommitUncertain: it may have been written, or not.
        """
        return await self._change(_put(name, doc, refs, "always"))

    async def put_many(self, documents: Iterable[Document]) -> list[str]:
        """Put many documents for one sync; returns their versions.

        Raises:
            PackhouseError: the first failure; the other documents may have been put all the same.
        """
        changes = [_put(each.name, each.doc, each.refs, "always") for each in documents]
        return [_version(outcome) for outcome in await self._apply("put", changes)]

    async def put_if_absent(self, name: str, doc: object, *, refs: Iterable[str] = ()) -> str:
        """Put a document unless the name stands for one already; returns its version.

        Raises:
            NameConflict: it does.
        """
        return await self._change(_put(name, doc, refs, "absent"))

    async def put_if_absent_many(self, documents: Iterable[Document]) -> list[str | None]:
        """Put many documents for one sync; None stands for a name that had one already."""
        changes = [_put(each.name, each.doc, each.refs, "absent") for each in documents]
        return [_version_or_none(outcome) for outcome in await self._apply("put_if_absent", changes)]

    async def replace(self, name: str, doc: object, version: str, *, refs: Iterable[str] = ()) -> str:
        """Put a document if what stands there is of this version still; returns the new version.

        Raises:
            NameConflict: it changed, or was deleted, meanwhile.
        """
        return await self._change(_put(name, doc, refs, _condition(version)))

    async def replace_many(self, documents: Iterable[Document]) -> list[str | None]:
        """Replace many documents, each with its `version`, for one sync; None stands for one that had changed."""
        changes = [_put(each.name, each.doc, each.refs, _condition(each.version)) for each in documents]
        return [_version_or_none(outcome) for outcome in await self._apply("replace", changes)]

    async def delete(self, name: str, *, version: str | None = None) -> None:
        """Delete a document, only if it is of this version where one is given.

        Raises:
            NameNotFound: no document has the name.
            NameConflict: it is of another version.
        """
        await self._change(_delete(name, version))

    async def delete_many(self, names: Iterable[str]) -> list[bool]:
        """Delete many documents for one sync; False stands for a name that no document had."""
        outcomes = await self._apply("delete", [_delete(name, None) for name in check_names(names)])
        return [not isinstance(_outcome(outcome, NameNotFound), NameNotFound) for outcome in outcomes]

    def list(self, prefix: str = "", *, after: str | None = None) -> NameList:
        """List the names that begin with a prefix, in the order of their UTF-8 bytes: `async for name in names.list()`.

        Args:
            prefix: any text; "" for all names.
            after: begin behind this name, whether or not it exists.

        Returns:
            An async iterator over the names as they were at one moment; its `page(limit)` gives many at once.
        """
        return NameList(self._opened(), check_name(prefix), None if after is None else check_name(after))

    async def _get(self, names: Sequence[str]) -> Sequence[NamedDocument | Exception]:
        core = self._opened()
        cancel = Cancel()

        def read() -> list[NamedDocument | Exception]:
            found = core.names().get(names, cancel)
            return [_read(name, one) for name, one in zip(names, found, strict=True)]

        return await core.jobs.call(read, cancel)

    async def _change(self, change: _Change) -> str:
        (outcome,) = await self._apply("change a name", [change])
        return _version(outcome)

    async def _apply(self, operation: str, changes: Sequence[_Change]) -> Sequence[str | Exception | None]:
        core = self._writable(operation)
        if not changes:
            return []
        cancel = Cancel()
        outcomes = await core.jobs.call_decided(
            lambda: core.names().apply(changes, cancel), cancel, _undone, threads=core.changing
        )
        if not any(map(_cancelled, outcomes)):
            return outcomes
        for outcome in outcomes:
            if isinstance(outcome, CommitUncertain):
                raise outcome
        closed = StoreClosed("the store was closed during the operation")
        return [closed if _cancelled(outcome) else outcome for outcome in outcomes]


def _undone(outcomes: Sequence[str | Exception | None]) -> bool:
    """Tell whether a cancellation came in time for a change: then it is what the caller gets.

    Of many changes others may have been made all the same, as after any failure; only one that may or may not have
    been made comes first.
    """
    return any(map(_cancelled, outcomes)) and not any(isinstance(outcome, CommitUncertain) for outcome in outcomes)


def _cancelled(outcome: str | Exception | None) -> bool:
    return isinstance(outcome, PackhouseError) and outcome.kind == "cancelled"


def _read(name: str, found: tuple[bytes, str, Sequence[str]] | Exception) -> NamedDocument | Exception:
    if isinstance(found, Exception):
        return found
    doc, version, refs = found
    try:
        return NamedDocument(decode(name, doc), version, tuple(refs))
    except CorruptBlob as error:
        return error


def _put(name: str, doc: object, refs: Iterable[str], when: str) -> _Change:
    return check_name(name), encode(name, doc), encode_refs(refs), when


def _delete(name: str, version: str | None) -> _Change:
    return check_name(name), None, [], "always" if version is None else _condition(version)


def _condition(version: object) -> str:
    if not isinstance(version, str) or version in ("always", "absent"):
        raise InvalidInput(f"a version is what a read or a put returned, not {version!r}", kind="version")
    return version


def _outcome(outcome: T | Exception, *expected: type[Exception]) -> T | Exception:
    if isinstance(outcome, Exception) and not isinstance(outcome, expected):
        raise outcome
    return outcome


def _result(outcome: T | Exception) -> T:
    if isinstance(outcome, Exception):
        raise outcome
    return outcome


def _result_or_none(outcome: T | Exception, *expected: type[Exception]) -> T | None:
    if isinstance(outcome, expected):
        return None
    return _result(outcome)


def _version(outcome: str | Exception | None) -> str:
    return _result(outcome) or ""


def _version_or_none(outcome: str | Exception | None) -> str | None:
    return _result_or_none(outcome, NameConflict, NameNotFound)
