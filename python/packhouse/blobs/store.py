"""A store of blobs, as its users see it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from packhouse._engine import Cancel
from packhouse.blobs import survey
from packhouse.blobs.handle import Handle
from packhouse.blobs.loading import KeysToLoad, LoadedBlobs, Missing
from packhouse.blobs.lookup import Lookup
from packhouse.blobs.progress import ProgressCallback, Tally
from packhouse.blobs.reader import BlobReader
from packhouse.blobs.records import KeyLike, SavedBlob, check_batch_id, key_and_locator
from packhouse.blobs.saving import Blobs, Saving, save_all
from packhouse.blobs.stats import StoreStats
from packhouse.blobs.verifying import VerifyReport, verify
from packhouse.names import Names
from packhouse.trees import COMMIT_EVERY, restore_tree, save_tree

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from typing_extensions import Buffer

    from packhouse.blobs.sources import BlobSource
    from packhouse.blobs.survey import BlobAnatomy, StoredBlob, StoreSurvey

__all__ = ["BlobStore"]


class BlobStore(Handle):
    """Blobs by their keys, and small documents by their names. Made by `packhouse.open`.

    Pickles as its URL and options: the copy is a handle that is not open yet.
    """

    async def save_blobs(
        self,
        blobs: Blobs,
        *,
        len_hint: int = 0,
        pin: bool = True,
        check: bool = False,
        progress: ProgressCallback | None = None,
    ) -> list[SavedBlob]:
        """Save many blobs in one atomic, durable commit.

        When it returns all blobs are on disk, synced. When it raises nothing of the batch is visible, except with
        `CommitUncertain`. Cancelled before its commit it withdraws everything; after it, it returns the result.

        Args:
            blobs: an iterable, sync or async, consumed lazily under the byte budget. Items are bytes-like, a `Path`, an
                open binary file (sync or async), or an iterator (sync or async) of bytes. A sync iterable runs on the
                event loop; files and iterators among its items are read in worker threads, 32 at a time of all calls,
                async ones on the loop.
            len_hint: how many there will be, for `progress`; 0 when unknown.
            pin: keep the blobs until they are released; otherwise at least for the store's retention time.
            check: read what is deduplicated against instead of trusting the index.
            progress: called with a `Progress` after each group.

        Returns:
            One `SavedBlob` per item, in order.

        Raises:
            InvalidInput: an item that cannot be saved; the message says which.
            StorageError: a disk that is full or fails, a file that cannot be read or changed meanwhile.
            CommitUncertain: the commit was issued and its outcome cannot be known.
        """
        core = self._writable("save_blobs")
        return await save_all(core, blobs, pin=pin, check=check, tally=Tally(progress, len_hint))

    async def save_stream(self, source: BlobSource, *, pin: bool = True, check: bool = False) -> SavedBlob:
        """Save one blob of any size from a file, a path or an iterator of pieces, in bounded memory.

        Args and errors are those of `save_blobs`, for a single item.
        """
        (saved,) = await self.save_blobs([source], len_hint=1, pin=pin, check=check)
        return saved

    def saving(
        self,
        blobs: Blobs,
        *,
        commit_every: int | None = None,
        len_hint: int = 0,
        pin: bool = True,
        check: bool = False,
        progress: ProgressCallback | None = None,
    ) -> Saving:
        """Save a batch that is too large to hold its results: `async with store.saving(blobs) as results`.

        Iterating the results drives the saving and yields only what is committed. Leaving the block early withdraws
        what is not.

        Args:
            blobs: as for `save_blobs`.
            commit_every: bytes after which to commit what there is, giving up the atomicity of the whole; None for one
                commit at the end. Of a path or stream it is known only when it is read: the next item waits for that.
            len_hint: as for `save_blobs`.
            pin: as for `save_blobs`.
            check: as for `save_blobs`.
            progress: as for `save_blobs`.

        Raises:
            InvalidInput: `commit_every` is not positive.
        """
        core = self._writable("saving")
        tally = Tally(progress, len_hint)
        return Saving(core, blobs, commit_every=commit_every, pin=pin, check=check, tally=tally)

    def load_blobs(
        self,
        keys: KeysToLoad,
        *,
        ordered: bool = True,
        missing: Missing = "raise",
        progress: ProgressCallback | None = None,
    ) -> LoadedBlobs:
        """Load many blobs, verified, ahead of the consumer: `async for key, data in store.load_blobs(keys)`.

        Args:
            keys: an iterable, sync or async, of keys, `SavedBlob`s or keys with locators.
            ordered: in the keys' order; otherwise as they are ready.
            missing: `"raise"` or `"skip"` a key that no blob has.
            progress: called with a `Progress` after each group.

        Returns:
            An async iterator of `LoadedBlob(key, data)`.

        Raises:
            InvalidInput: something that is no key.
            BlobNotFound: while iterating: no blob has a key; its `keys` name what is missing.
            CorruptBlob: while iterating: what is stored does not verify, and no other copy does.
        """
        return LoadedBlobs(self._opened(), keys, ordered=ordered, missing=missing, tally=Tally(progress))

    async def load(self, key: KeyLike) -> bytes:
        """Load one blob, verified.

        Raises:
            InvalidInput: it is no key.
            BlobNotFound: no blob has it.
            CorruptBlob: what is stored does not verify, and no other copy does.
        """
        return await Lookup(self._opened(), key).load()

    async def load_range(self, key: KeyLike, start: int, stop: int) -> bytes:
        """Load the bytes from `start` up to, not including, `stop`.

        Raises:
            InvalidInput: the range is not within the blob (also a ValueError).
            BlobNotFound: no blob has the key.
            CorruptBlob: what is stored does not verify, and no other copy does.
        """
        return await Lookup(self._opened(), key).load_range(start, stop)

    async def load_into(self, key: KeyLike, buffer: Buffer) -> int:
        """Load a blob into a writable buffer that is at least as large; returns the blob's size in bytes.

        After an error the buffer's content is undefined. Nobody else may touch the buffer meanwhile.

        Raises:
            InvalidInput: the buffer is read-only, not contiguous, or too small.
            BlobNotFound: no blob has the key.
            CorruptBlob: what is stored does not verify, and no other copy does.
        """
        return await Lookup(self._opened(), key).load_into(buffer)

    async def open_read(self, key: KeyLike) -> BlobReader:
        """Open a blob as an async, seekable file: `async with await store.open_read(key) as file`.

        Raises:
            InvalidInput: it is no key.
            BlobNotFound: no blob has it.
        """
        core = self._opened()
        located, size = await Lookup(core, key).find()
        return BlobReader(core, located, size)

    async def contains(self, key: KeyLike) -> bool:
        """Tell whether a committed blob has this key. Existence is not validity: `verify` and loads read it."""
        return await Lookup(self._opened(), key).size() is not None

    async def size(self, key: KeyLike) -> int:
        """Tell a blob's size in bytes, without reading it.

        Raises:
            BlobNotFound: no blob has the key.
        """
        return (await Lookup(self._opened(), key).find())[1]

    async def committed(self, batch_id: str) -> bool | None:
        """Tell whether a batch is committed and durable, after a `CommitUncertain` told its id.

        Returns:
            True or False; None when nobody can say: its record may have been dropped after the retention time, or a
            sync of this process failed, and what the disk holds shows only when the store is opened anew.
        """
        core, checked, cancel = self._opened(), check_batch_id(batch_id), Cancel()
        return await core.jobs.call(lambda: core.engine.committed(checked, cancel), cancel)

    async def verify(self, *, progress: ProgressCallback | None = None) -> VerifyReport:
        """Read and check everything: index, packs, recipes, large blobs; count what crashed writers left behind.

        Damage that is found is noted where the store may be written, so that saving the blobs again heals them.

        Args:
            progress: called a few times a second with a `Progress`, whose `size` counts bytes read from packs, and once
                at the end with segments and packs as its `blobs`. What it raises ends the checking and goes on.

        Raises:
            StorageError: the operating system refused; damage is no error but a finding.
        """
        return await verify(self._opened(), self._remote, progress)

    async def survey(self) -> StoreSurvey:
        """Sum up what the store holds: sizes, what deduplication and compression did. Reads the index, not the packs.

        Raises:
            StorageError: the operating system refused.
        """
        return await survey.survey(self._opened())

    async def anatomy(self, key: KeyLike) -> BlobAnatomy:
        """Tell how a blob is stored: its chunks, what saving it added, what was there before.

        Raises:
            InvalidInput: it is no key.
            BlobNotFound: no blob has it.
            CorruptBlob: its list of chunks cannot be read.
        """
        return await survey.anatomy(self._opened(), key_and_locator(key)[0])

    def keys(self) -> AsyncIterator[StoredBlob]:
        """List all blobs in the order of their keys: `async for key, size in store.keys()`.

        Raises:
            CorruptBlob: while iterating: a part of the index cannot be read, so that the list would lack something.
        """
        return survey.keys(self._opened())

    @property
    def names(self) -> Names:
        """Small JSON documents under names, with compare-and-swap."""
        return Names(self._opened, self._writable)

    async def save_tree(
        self,
        path: str | os.PathLike[str],
        *,
        commit_every: int = COMMIT_EVERY,
        progress: ProgressCallback | None = None,
    ) -> SavedBlob:
        """Save a folder with all that is in it: files, folders, permissions, symbolic links as links.

        Args:
            path: of the folder.
            commit_every: bytes of files after which they are committed: what an interruption loses at most. Saved
                again, what was committed is only hashed.
            progress: called as it goes.

        Returns:
            The manifest blob, whose key restores the tree. It is committed last: the tree is there whole or not at all.
            Its files may be committed before it.

        Raises:
            StorageError: something in it cannot be read or changed meanwhile.
            InvalidInput: something in it is neither file, folder nor link, or `commit_every` is no number of bytes.
        """
        return await save_tree(self._writable("save_tree"), path, commit_every, Tally(progress))

    async def restore_tree(
        self, key: KeyLike, path: str | os.PathLike[str], *, progress: ProgressCallback | None = None
    ) -> None:
        """Write a saved tree into a folder, which is made if need be.

        Nothing is written outside that folder and no link in it is followed. What is there already is not replaced.

        Raises:
            BlobNotFound: no blob has the key.
            CorruptBlob: the blob is no tree (kind `tree`), or something in it does not verify.
            StorageError: a file of that name is there already (kind `target-exists`), or cannot be written.
        """
        await restore_tree(self._opened(), key, path, Tally(progress))

    def stats(self) -> StoreStats:
        """Tell what this handle has done since it was opened: counts, bytes and waits."""
        core = self._opened()
        return StoreStats(**core.engine.stats(), commit_wait_seconds=core.committer.wait_seconds)
