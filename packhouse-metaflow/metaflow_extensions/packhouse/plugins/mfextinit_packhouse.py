"""Tells Metaflow of the datastore type `packhouse`, where packhouse can be used: Metaflow loads every type.

Where it is switched off nothing of packhouse is imported, and who asks for the type is told.
"""

from metaflow_extensions.packhouse.toplevel.usable import is_switched_off, why_unusable

DATASTORES_DESC, DATACLIENTS_DESC = [], []

if is_switched_off():
    DATASTORES_DESC = [("packhouse", ".switched_off.PackhouseStorage")]
elif why_unusable() is None:  # if not, toplevel/overrides.py has warned
    DATASTORES_DESC = [("packhouse", ".packed_storage.PackhouseStorage")]
    DATACLIENTS_DESC = [("packhouse", ".packed_storage.PackhouseFiles")]
