"""What `packhouse-metaflow` is made of: blobs as gzip files under their SHA-1, as Metaflow's datastores keep them.

Metaflow itself is imported only where it is there already: by the store that the extension puts in stock's place.
"""

from packhouse.compat.metaflow.folder import GzipFolder
from packhouse.compat.metaflow.packing import is_key, pack_missing, unpack
from packhouse.compat.metaflow.records import users_of

__all__ = ["INTERFACE", "GzipFolder", "is_key", "pack_missing", "unpack", "users_of"]

INTERFACE = 1
"""What the extension counts on: one more whenever the extension of before could not be used with what is here."""
