"""Stands for the datastore type `packhouse` where packhouse-metaflow is switched off. Imports nothing of packhouse."""

from metaflow.datastore.datastore_storage import DataStoreStorage
from metaflow.exception import MetaflowException


class PackhouseNotUsable(MetaflowException):
    """The datastore was asked for where it is switched off."""

    headline = "--datastore packhouse cannot be used"

    def __init__(self):
        super().__init__("packhouse-metaflow is switched off (METAFLOW_PACKHOUSE): switch it on, or use another type")


class PackhouseStorage(DataStoreStorage):
    """A storage that says so instead of being one."""

    TYPE = "packhouse"

    def __init__(self, *_, **__):
        raise PackhouseNotUsable

    @classmethod
    def get_datastore_root_from_config(cls, *_, **__):
        """Say that it is switched off."""
        raise PackhouseNotUsable
