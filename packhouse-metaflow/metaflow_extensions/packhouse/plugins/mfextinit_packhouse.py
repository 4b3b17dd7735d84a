"""Tells Metaflow of the datastore type `packhouse`, where packhouse can be imported: Metaflow loads every type."""

try:
    import packhouse.compat.metaflow  # noqa: F401 - only to see whether it loads
except Exception:  # noqa: BLE001 - whatever it is, Metaflow must go on; toplevel/overrides.py has warned
    _IS_USABLE = False
else:
    _IS_USABLE = True

DATASTORES_DESC = [("packhouse", ".packed_storage.PackhouseStorage")] if _IS_USABLE else []
DATACLIENTS_DESC = [("packhouse", ".packed_storage.PackhouseFiles")] if _IS_USABLE else []
