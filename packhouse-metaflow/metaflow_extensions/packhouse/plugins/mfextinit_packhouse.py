"""Tells Metaflow of the datastore type `packhouse`, where packhouse can be used: Metaflow loads every type."""

from metaflow_extensions.packhouse.toplevel.usable import why_unusable

_IS_USABLE = why_unusable() is None  # if not, toplevel/overrides.py has warned

DATASTORES_DESC = [("packhouse", ".packed_storage.PackhouseStorage")] if _IS_USABLE else []
DATACLIENTS_DESC = [("packhouse", ".packed_storage.PackhouseFiles")] if _IS_USABLE else []
