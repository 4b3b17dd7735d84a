"""The same names without `await`: one implementation underneath, on an event loop that each open store owns.

    with packhouse.sync.open("folder") as store:
        saved = store.save_blobs([b"one", b"two"])
        for key, data in store.load_blobs(blob.key for blob in saved):
            ...

A store may be used by many threads at once. Called inside a running event loop it blocks that loop until it is done:
there, `packhouse.open` is the better door. A callback for progress runs in the store's own thread and must not call the
store. Iterables handed in run in the calling thread; iterators among the items, and files, are read in worker threads.
"""

from __future__ import annotations

from packhouse.sync.copying import copy_store
from packhouse.sync.loading import BlobReader, LoadedBlobs
from packhouse.sync.names import NameList, Names
from packhouse.sync.saving import Saving
from packhouse.sync.store import BlobStore
from packhouse.sync.store import open_store as open  # noqa: A004 - packhouse.sync.open is the door

__all__ = ["BlobReader", "BlobStore", "LoadedBlobs", "NameList", "Names", "Saving", "copy_store", "open"]
