"""Object stores: names and their bytes, in a folder, in memory or in a bucket.

This is the layer beneath `packhouse.open`; those who bring a store of their own keep `ObjectStore`'s contract and run
`packhouse.objects.conformance` against it.
"""

from packhouse.objects.contract import (
    LONGEST_NAME,
    Body,
    Bytes,
    Fetched,
    ObjectInfo,
    ObjectStore,
    Stream,
    check_object_name,
)
from packhouse.objects.local import LocalObjects
from packhouse.objects.memory import MemoryObjects
from packhouse.objects.opening import open_objects

__all__ = [
    "LONGEST_NAME",
    "Body",
    "Bytes",
    "Fetched",
    "LocalObjects",
    "MemoryObjects",
    "ObjectInfo",
    "ObjectStore",
    "Stream",
    "check_object_name",
    "open_objects",
]
