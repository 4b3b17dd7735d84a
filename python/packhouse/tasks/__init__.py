"""Flow and task datastores: artifacts, metadata and logs of pipelines, with Metaflow's semantics on a packhouse store.

    async with FlowDataStore("Training", ds_root="store") as flow:
        task = await flow.get_task_datastore("1", "start", "1", attempt=0, mode="w")
        await task.init_task()
        await task.save_artifacts([("weights", weights), ("epoch", 1)])
        await task.done()

`packhouse.sync.tasks` has the same names without `await`, with Metaflow's own signatures.
"""

from __future__ import annotations

from packhouse.tasks.artifacts import ArtifactTooLarge
from packhouse.tasks.content import BlobCache, ContentAddressedStore, save_blobs_result
from packhouse.tasks.events import DataArtifact, Gauge, MetaDatum
from packhouse.tasks.flow import FlowDataStore, MetadataCache
from packhouse.tasks.logs import LogName, LogWriter
from packhouse.tasks.record import StoredArtifact
from packhouse.tasks.serializers import Dumped, Serializer, Trust
from packhouse.tasks.spin import SpinTaskDatastore
from packhouse.tasks.storage import PackhouseStorage
from packhouse.tasks.task import TaskDataStore

__all__ = [
    "ArtifactTooLarge",
    "BlobCache",
    "ContentAddressedStore",
    "DataArtifact",
    "Dumped",
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
    "Trust",
    "save_blobs_result",
]
