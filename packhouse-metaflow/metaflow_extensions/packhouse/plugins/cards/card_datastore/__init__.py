"""Where cards are kept, with one more kind of datastore; everything else of Metaflow's module is passed on."""

from metaflow.metaflow_config_funcs import from_conf
from metaflow.plugins.cards.card_datastore import _orig
from metaflow.plugins.cards.card_datastore._orig import *  # noqa: F403 - whatever this version has
from metaflow_extensions.packhouse.toplevel.usable import is_off

from packhouse.compat.metaflow.packed.storage import PackhouseStorage

if is_off(from_conf("PACKHOUSE", "1")):
    CardDatastore = _orig.CardDatastore
else:

    class CardDatastore(_orig.CardDatastore):
        """Stock's, which knows where the cards of `--datastore packhouse` are."""

        @classmethod
        def get_storage_root(cls, storage_type):
            """Return the root of a storage type's cards."""
            if storage_type != PackhouseStorage.TYPE:
                return super().get_storage_root(storage_type)
            root = PackhouseStorage.get_datastore_root_from_config(lambda *_, **__: None)
            return f"{root}/{_orig.CARD_SUFFIX}"
