"""`packhouse.tasks` without `await`, with Metaflow's own signatures: one implementation underneath.

    with FlowDataStore("Training", ds_root="store") as flow:
        task = flow.get_task_datastore("1", "start", "1", attempt=0, mode="w")
        task.init_task()
        task.save_artifacts([("weights", weights), ("epoch", 1)])
        task.done()

A datastore is open from its construction on; it ends with its `with` block, with `close`, or when nobody holds it any
more. Iterables that are handed in run in the calling thread, and values are made there. Streams that are handed to
`save_logs` and a metadata provider's methods run in worker threads; a metadata cache, and a blob cache in `load_data`
and `load_blobs`, are called in the store's own thread and must not ask the store.
"""

from __future__ import annotations

from packhouse.sync.tasks.content import ContentAddressedStore
from packhouse.sync.tasks.flow import FlowDataStore
from packhouse.sync.tasks.logs import LogWriter
from packhouse.sync.tasks.task import SpinTaskDatastore, TaskDataStore
from packhouse.tasks import (
    ArtifactTooLarge,
    BlobCache,
    DataArtifact,
    Gauge,
    LogName,
    MetadataCache,
    MetaDatum,
    PackhouseStorage,
    Serializer,
    StoredArtifact,
    save_blobs_result,
)

__all__ = [
    "ArtifactTooLarge",
    "BlobCache",
    "ContentAddressedStore",
    "DataArtifact",
    "FlowDataStore",
    "Gauge",
    "LogName",
    "LogWriter",
    "MetaDatum",
    "MetadataCache",
    "PackhouseStorage",
    "Serializer",
    "SpinTaskDatastore",
    "StoredArtifact",
    "TaskDataStore",
    "save_blobs_result",
]
