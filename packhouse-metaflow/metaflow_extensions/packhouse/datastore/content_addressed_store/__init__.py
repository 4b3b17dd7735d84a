"""Metaflow's content-addressed store, replaced; everything else of its module is passed on."""

from metaflow.datastore.content_addressed_store import _orig
from metaflow.datastore.content_addressed_store._orig import *  # noqa: F403 - whatever this version has
from metaflow.datastore.content_addressed_store._orig import BlobCache
from metaflow.metaflow_config_funcs import from_conf
from metaflow_extensions.packhouse.toplevel.usable import is_off

from packhouse.compat.metaflow.packed.blobs import PackedBlobs
from packhouse.compat.metaflow.store import VerifiedBlobs

__all__ = ["BlobCache", "ContentAddressedStore"]

if is_off(from_conf("PACKHOUSE", "1")):
    ContentAddressedStore = _orig.ContentAddressedStore
else:

    class ContentAddressedStore(PackedBlobs, VerifiedBlobs, _orig.ContentAddressedStore):
        """Stock's store with the engine's saves and loads before its own: in packs, or in stock's files."""
