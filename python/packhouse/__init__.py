"""A crash-safe, verified, deduplicating store for blobs, folders and named documents.

    async with packhouse.open("folder") as store:
        saved = await store.save_blobs([b"one", b"two"])
        async for key, data in store.load_blobs(blob.key for blob in saved):
            ...

`packhouse.sync` has the same names without `await`.
"""

from __future__ import annotations

import logging

from packhouse.blobs.loading import LoadedBlobs
from packhouse.blobs.opening import open_store as open  # noqa: A004 - packhouse.open is the door
from packhouse.blobs.options import StoreOptions
from packhouse.blobs.progress import Progress
from packhouse.blobs.reader import BlobReader
from packhouse.blobs.records import KeyWithLocator, LoadedBlob, SavedBlob
from packhouse.blobs.saving import Saving
from packhouse.blobs.stats import StoreStats
from packhouse.blobs.store import BlobStore
from packhouse.blobs.survey import BlobAnatomy, StoredBlob, StoreSurvey
from packhouse.blobs.verifying import Finding, VerifyReport
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
from packhouse.names import Document, NamedDocument, Names

__all__ = [
    "BlobAnatomy",
    "BlobNotFound",
    "BlobReader",
    "BlobStore",
    "CommitUncertain",
    "CorruptBlob",
    "Document",
    "Finding",
    "InvalidInput",
    "KeyWithLocator",
    "LoadedBlob",
    "LoadedBlobs",
    "NameConflict",
    "NameNotFound",
    "NamedDocument",
    "Names",
    "PackhouseError",
    "Progress",
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
    "open",
]

logging.getLogger("packhouse").addHandler(logging.NullHandler())
