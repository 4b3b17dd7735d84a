"""The storage class of `--datastore packhouse`, and what reads `IncludeFile` there."""

from packhouse.compat.metaflow.packed.included import PackhouseFiles
from packhouse.compat.metaflow.packed.storage import PackhouseStorage

__all__ = ["PackhouseFiles", "PackhouseStorage"]
