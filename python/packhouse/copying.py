"""From one store to another: what the other lacks, blobs first and the names that keep them alive last.

Content is copied, not pack files: the destination keeps its own packs, settings and commits, and everything on its way
is verified as on any load and hashed again as on any save. What was committed there is not sent again, so an
interrupted copy goes on where it stopped.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packhouse._engine import Cancel
from packhouse.blobs import survey
from packhouse.blobs.opening import core_of
from packhouse.blobs.progress import ProgressCallback, Tally
from packhouse.blobs.saving import Saving, save_all
from packhouse.errors import BlobNotFound, CorruptBlob, InvalidInput
from packhouse.names import Document, NamedDocument
from packhouse.names.documents import encode
from packhouse.together import together

if TYPE_CHECKING:
    from packhouse.blobs.core import Core
    from packhouse.blobs.reader import BlobReader
    from packhouse.blobs.records import SavedBlob
    from packhouse.blobs.store import BlobStore
    from packhouse.names.listing import NameList

__all__ = ["Copied", "copy_store", "refuse_one"]

_LARGE = 8 << 20
"""Bytes beyond which a blob is copied as a stream, and committed by itself."""
_STREAMS = 4
_LOCATED_AT_ONCE = 1_000
_NAMES_AT_ONCE = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """What became of a copy."""

    blobs: int
    """Blobs that were sent."""
    size: int
    """Their bytes."""
    present_blobs: int
    """Blobs that the destination had."""
    names: int
    """Names that were written."""
    present_names: int
    """Names that stood for the same document there."""
    differing_names: tuple[str, ...]
    """Names that stand for another document there, and were left alone."""
    damaged_blobs: tuple[str, ...]
    """Keys whose blobs the source has not whole: they are not at the destination."""
    damaged_names: tuple[str, ...]
    """Names that cannot be read, or whose blobs are among the damaged: they are not at the destination."""
    unreadable_names: tuple[str, ...]
    """Names whose documents at the destination cannot be read: left alone. `replace` and `check` write them anew."""
    unlisted: tuple[str, ...]
    """What of the source cannot be listed, in a sentence each: blobs and names that are told only there are not at the
    destination, except for blobs that a name refers to."""


async def copy_store(
    source: BlobStore,
    destination: BlobStore,
    *,
    replace: bool = False,
    check: bool = False,
    commit_every: int = 256 << 20,
    progress: ProgressCallback | None = None,
) -> Copied:
    """Copy blobs, trees and names that the destination lacks. Done again it sends only what was not committed.

    A blob counts as copied when the destination has it durably and computed the same key; it is pinned there. Damage
    on either side stops nothing: it is told at the end. A source whose index cannot be read is copied as far as it can
    be listed: around damaged blocks, but of a segment that cannot be opened nothing is told, and then only what names
    refer to is found.

    Args:
        source: open; is not written to.
        destination: open for writing.
        replace: let the source's documents take the place of others of the same name.
        check: read what the destination has instead of trusting its index; what does not verify, names included, is
            sent anew.
        commit_every: bytes after which to commit; what an interruption costs at most.
        progress: called with a `Progress`, of what is sent and what need not be.

    Raises:
        InvalidInput: `commit_every` is not positive, or both are one store.
        PackhouseError: reading or writing failed; what was committed stays.
    """
    refuse_one(source, destination)
    if commit_every <= 0:
        raise InvalidInput(f"commit_every is a number of bytes, at least 1, not {commit_every}", kind="option")
    copying = _Copying(source, destination, check=check, commit_every=commit_every, tally=Tally(progress))
    await copying.blobs()
    await copying.names(replace=replace)
    return copying.told()


def refuse_one(source: BlobStore, destination: BlobStore) -> None:
    """Refuse to copy a store into itself, as far as handles, URLs and options tell; each store in memory is another.

    Raises:
        InvalidInput: they are one store.
    """
    ours, theirs = ((each.url, each.options.bucket) for each in (source, destination))
    if source is destination or (ours == theirs and source.url != "memory://"):
        raise InvalidInput(f"copy: {source.url} is source and destination", kind="option")


class _Copying:
    """One copy on its way."""

    def __init__(
        self, source: BlobStore, destination: BlobStore, *, check: bool, commit_every: int, tally: Tally
    ) -> None:
        self._source = source
        self._destination = destination
        self._from: Core = core_of(source)
        self._to: Core = core_of(destination, "copy")
        self._check = check
        self._commit_every = commit_every
        self._tally = tally
        self._blobs = self._size = self._present = 0
        self._names = self._present_names = 0
        self._differing: list[str] = []
        self._damaged: dict[str, None] = {}
        self._damaged_names: list[str] = []
        self._unreadable_names: list[str] = []
        self._unlisted: dict[str, None] = {}

    def told(self) -> Copied:
        """Sum up."""
        return Copied(
            blobs=self._blobs,
            size=self._size,
            present_blobs=self._present,
            names=self._names,
            present_names=self._present_names,
            differing_names=tuple(self._differing),
            damaged_blobs=tuple(self._damaged),
            damaged_names=tuple(self._damaged_names),
            unreadable_names=tuple(self._unreadable_names),
            unlisted=tuple(self._unlisted),
        )

    async def blobs(self) -> None:
        """Copy every blob that is listed."""
        await self._transfer(self._listed())

    async def _listed(self) -> AsyncIterator[list[tuple[str, int]]]:
        async for found in survey.pages_around(self._from, self._lacks):
            for start in range(0, len(found), _LOCATED_AT_ONCE):
                yield [(blob.key, blob.size) for blob in found[start : start + _LOCATED_AT_ONCE]]

    def _lacks(self, error: CorruptBlob) -> None:
        """Note why a list of the source lacks something."""
        self._unlisted[str(error)] = None

    async def _transfer(self, groups: AsyncIterator[list[tuple[str, int]]]) -> None:
        """Copy what the destination lacks of these blobs."""
        expected: deque[str] = deque()

        async def contents() -> AsyncGenerator[bytes]:
            async for group in groups:
                wanted = await self._wanted(group)
                async with aclosing(self._load([key for key, size in wanted if size <= _LARGE])) as loaded:
                    async for key, data in loaded:
                        expected.append(key)
                        yield data
                await self._stream([key for key, size in wanted if size > _LARGE])

        async with aclosing(contents()) as found:
            first = await anext(found, None)
            if first is None:  # nothing to commit
                return
            saving = Saving(
                self._to,
                _chain(first, found),
                commit_every=self._commit_every,
                pin=True,
                check=self._check,
                tally=self._tally,
            )
            async with saving as results:
                async for saved in results:
                    self._arrived(expected.popleft(), saved)

    async def _wanted(self, group: list[tuple[str, int]]) -> list[tuple[str, int]]:
        """Leave out what the destination has."""
        if self._check:
            return group
        there = await _sizes(self._to, [key for key, _ in group])
        wanted = [blob for blob, size in zip(group, there, strict=True) if size is None]
        self._present += len(group) - len(wanted)
        self._tally.add(len(group) - len(wanted), sum(size for _, size in group) - sum(size for _, size in wanted))
        return wanted

    async def _load(self, keys: list[str]) -> AsyncGenerator[tuple[str, bytes]]:
        """Load blobs in order; those that cannot be read are noted and left out."""
        done = 0
        while done < len(keys):
            try:
                async with aclosing(self._source.load_blobs(keys[done:])) as loaded:
                    async for key, data in loaded:
                        yield key, data
                        done += 1
            except (CorruptBlob, BlobNotFound):  # of this blob, or of any other where the index is damaged
                try:
                    data = await self._source.load(keys[done])
                except (CorruptBlob, BlobNotFound):
                    self._damaged[keys[done]] = None
                else:
                    yield keys[done], data
                done += 1

    async def _stream(self, keys: Sequence[str]) -> None:
        """Copy large blobs, a few side by side, each in a commit that those beside it share."""

        async def left() -> AsyncIterator[str]:
            for key in keys:
                yield key

        await together(left(), self._stream_one, _STREAMS)

    async def _stream_one(self, key: str) -> None:
        try:
            reader = await self._source.open_read(key)
        except (CorruptBlob, BlobNotFound):
            self._damaged[key] = None
            return
        async with reader:
            try:
                (saved,) = await save_all(self._to, [_pieces(reader)], pin=True, check=self._check, tally=self._tally)
            except _UnreadableError:
                self._damaged[key] = None
                return
        self._arrived(key, saved)

    def _arrived(self, key: str, saved: SavedBlob) -> None:
        """Hold what the destination has committed against what was meant."""
        if saved.key != key:  # sound chunks that together are another content: of a large blob
            self._damaged[key] = None
        elif saved.existed:
            self._present += 1
        else:
            self._blobs += 1
            self._size += saved.size

    async def names(self, *, replace: bool) -> None:
        """Copy names, whose blobs are there by now."""
        listing = self._source.names.list()
        while page := await self._names_of(listing):
            ours, damaged = await _documents(self._source, page)
            self._damaged_names += damaged
            theirs, unreadable = await _documents(self._destination, list(ours))
            new: list[Document] = []
            changed: list[Document] = []
            for name, document in ours.items():
                there = theirs.get(name)
                if name in unreadable:
                    continue
                if there is None:
                    new.append(Document(name, document.doc, document.refs))
                elif _content(name, document) == _content(name, there):
                    self._present_names += 1
                elif replace:
                    changed.append(Document(name, document.doc, document.refs, there.version))
                else:
                    self._differing.append(name)
            new, changed = await self._with_blobs(new), await self._with_blobs(changed)
            self._written(new, await self._destination.names.put_if_absent_many(new))
            self._written(changed, await self._destination.names.replace_many(changed))
            if replace or self._check:
                again = [Document(name, ours[name].doc, ours[name].refs) for name in unreadable]
                again = await self._with_blobs(again)
                self._written(again, await self._destination.names.put_many(again))
            else:
                self._unreadable_names += unreadable

    async def _names_of(self, listing: NameList) -> list[str]:
        """Return the next names; none at the end, and none where the list cannot go on."""
        try:
            return await listing.page(_NAMES_AT_ONCE)
        except CorruptBlob as error:
            self._lacks(error)
            return []

    async def _with_blobs(self, documents: list[Document]) -> list[Document]:
        """Return those whose blobs the destination has.

        One that only a batch past its retention had saved may be in no list: it is copied here.
        """
        refs = list({ref: None for document in documents for ref in document.refs})
        lacking = await self._lacking(refs)
        if lacking:
            sizes = await _sizes(self._from, lacking)
            await self._transfer(_groups([(key, size or 0) for key, size in zip(lacking, sizes, strict=True)]))
            lacking = await self._lacking(lacking)
        lost = set(lacking)
        self._damaged_names += [document.name for document in documents if lost.intersection(document.refs)]
        return [document for document in documents if not lost.intersection(document.refs)]

    async def _lacking(self, keys: list[str]) -> list[str]:
        return [key for key, size in zip(keys, await _sizes(self._to, keys), strict=True) if size is None]

    def _written(self, documents: list[Document], versions: Iterable[str | None]) -> None:
        for document, version in zip(documents, versions, strict=True):
            if version is None:  # it came into being, or changed, meanwhile
                self._differing.append(document.name)
            else:
                self._names += 1


class _UnreadableError(Exception):
    """The source has a blob not whole."""


async def _pieces(reader: BlobReader) -> AsyncIterator[bytes]:
    """Read a blob; what is wrong with the source is told apart from what is wrong with the destination."""
    try:
        async for piece in reader:
            yield piece
    except (CorruptBlob, BlobNotFound) as error:
        raise _UnreadableError from error


async def _chain(first: bytes, rest: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    yield first
    async for one in rest:
        yield one


async def _groups(blobs: list[tuple[str, int]]) -> AsyncIterator[list[tuple[str, int]]]:
    for start in range(0, len(blobs), _LOCATED_AT_ONCE):
        yield blobs[start : start + _LOCATED_AT_ONCE]


async def _sizes(core: Core, keys: list[str]) -> list[int | None]:
    """Tell the sizes of blobs; None for one that the store has not."""
    sizes: list[int | None] = []
    for start in range(0, len(keys), _LOCATED_AT_ONCE):
        sizes += await _sizes_of(core, [(key, None) for key in keys[start : start + _LOCATED_AT_ONCE]])
    return sizes


async def _sizes_of(core: Core, pairs: list[tuple[str, str | None]]) -> list[int | None]:
    cancel = Cancel()
    try:
        return await core.jobs.call(lambda: core.engine.locate(pairs, cancel).sizes(), cancel)
    except CorruptBlob:  # a part of the index cannot be read, which one of them may stand in
        if len(pairs) == 1:
            return [None]
        return [(await _sizes_of(core, [pair]))[0] for pair in pairs]


async def _documents(store: BlobStore, names: list[str]) -> tuple[dict[str, NamedDocument], list[str]]:
    """Read documents; return those that are there, and the names of those that cannot be read."""
    try:
        found = await store.names.get_many(names)
    except CorruptBlob:
        if len(names) == 1:
            return {}, names
        each = [await _documents(store, [name]) for name in names]
        there = {name: document for one, _ in each for name, document in one.items()}
        return there, [name for _, damaged in each for name in damaged]
    return {name: document for name, document in zip(names, found, strict=True) if document is not None}, []


def _content(name: str, document: NamedDocument) -> tuple[bytes, tuple[str, ...]]:
    """Return what makes two documents the same: 1, 1.0 and true are equal in Python, and different JSON."""
    return encode(name, document.doc), document.refs
