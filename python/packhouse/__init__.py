"""A crash-safe, verified, deduplicating store for blobs, folders and named documents.

    async with packhouse.open("folder") as store:
        saved = await store.save_blobs([b"one", b"two"])
        async for key, data in store.load_blobs(blob.key for blob in saved):
            ...

`packhouse.sync` has the same names without `await`.
"""

from __future__ import annotations

import importlib
import logging
from typing import TYPE_CHECKING

from packhouse.errors import (
    BlobNotFound,
    CommitUncertain,
    CorruptBlob,
    InvalidInput,
    NameConflict,
    NameNotFound,
    PackhouseError,
    ReadOnlyStore,
    StorageError,
    StoreClosed,
    StoreNotFound,
    UnsupportedStore,
)

if TYPE_CHECKING:
    from packhouse.blobs.caching import CacheDir
    from packhouse.blobs.loading import KeysToLoad, LoadedBlobs, Missing
    from packhouse.blobs.opening import open_store as open  # noqa: A004 - packhouse.open is the door
    from packhouse.blobs.options import Mode, StoreOptions
    from packhouse.blobs.progress import Progress, ProgressCallback
    from packhouse.blobs.reader import BlobReader
    from packhouse.blobs.records import KeyLike, KeyWithLocator, LoadedBlob, SavedBlob
    from packhouse.blobs.saving import Blobs, Saving
    from packhouse.blobs.sources import BlobSource
    from packhouse.blobs.stats import StoreStats
    from packhouse.blobs.store import BlobStore
    from packhouse.blobs.survey import BlobAnatomy, StoredBlob, StoreSurvey
    from packhouse.blobs.verifying import Finding, VerifyReport
    from packhouse.copying import Copied, copy_store
    from packhouse.names import Document, NamedDocument, Names
    from packhouse.names.listing import NameList

__all__ = [
    "BlobAnatomy",
    "BlobNotFound",
    "BlobReader",
    "BlobSource",
    "BlobStore",
    "Blobs",
    "CacheDir",
    "CommitUncertain",
    "Copied",
    "CorruptBlob",
    "Document",
    "Finding",
    "InvalidInput",
    "KeyLike",
    "KeyWithLocator",
    "KeysToLoad",
    "LoadedBlob",
    "LoadedBlobs",
    "Missing",
    "Mode",
    "NameConflict",
    "NameList",
    "NameNotFound",
    "NamedDocument",
    "Names",
    "PackhouseError",
    "Progress",
    "ProgressCallback",
    "ReadOnlyStore",
    "SavedBlob",
    "Saving",
    "StorageError",
    "StoreClosed",
    "StoreNotFound",
    "StoreOptions",
    "StoreStats",
    "StoreSurvey",
    "StoredBlob",
    "UnsupportedStore",
    "VerifyReport",
    "copy_store",
    "open",
]

_ROOMS = {
    "blobs.caching": ("CacheDir",),
    "blobs.loading": ("KeysToLoad", "LoadedBlobs", "Missing"),
    "blobs.opening": ("open",),
    "blobs.options": ("Mode", "StoreOptions"),
    "blobs.progress": ("Progress", "ProgressCallback"),
    "blobs.reader": ("BlobReader",),
    "blobs.records": ("KeyLike", "KeyWithLocator", "LoadedBlob", "SavedBlob"),
    "blobs.saving": ("Blobs", "Saving"),
    "blobs.sources": ("BlobSource",),
    "blobs.stats": ("StoreStats",),
    "blobs.store": ("BlobStore",),
    "blobs.survey": ("BlobAnatomy", "StoreSurvey", "StoredBlob"),
    "blobs.verifying": ("Finding", "VerifyReport"),
    "copying": ("Copied", "copy_store"),
    "names": ("Document", "NamedDocument", "Names"),
    "names.listing": ("NameList",),
}
"""Imported when first asked for, so that what needs only a part, a task of Metaflow's for instance, starts fast."""
_ROOM_OF = {name: room for room, names in _ROOMS.items() for name in names}


def __getattr__(name: str) -> object:
    room = _ROOM_OF.get(name)
    if room is None:
        raise AttributeError(f"module 'packhouse' has no attribute {name!r}")
    value: object = getattr(importlib.import_module(f"packhouse.{room}"), {"open": "open_store"}.get(name, name))
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


logging.getLogger("packhouse").addHandler(logging.NullHandler())
