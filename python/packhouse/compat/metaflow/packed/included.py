"""Contents of `IncludeFile` with `--datastore packhouse`: in the same store. Imported only where Metaflow is."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, Self

from packhouse.compat.metaflow.packed.storage import PackhouseNotUsable, PackhouseStorage, packed_at

__all__ = ["Included", "PackhouseFiles"]

_SCHEME = "packhouse://"


class Included(NamedTuple):
    """One file.

    Attributes:
        url: where it stands.
        exists: whether it does.
        size: bytes.
        path: a copy, there until the client is left.
    """

    url: str
    exists: bool
    size: int | None
    path: str | None


class PackhouseFiles:
    """Metaflow's data client: `with PackhouseFiles() as client`."""

    TYPE = "packhouse"

    @classmethod
    def get_root_from_config(cls, echo: Callable[..., Any], create_on_absent: bool = True) -> str:
        """Return what the keys of included files begin with."""
        return f"{PackhouseStorage.get_datastore_root_from_config(echo, create_on_absent)}#data"

    def __enter__(self) -> Self:
        self._folder = Path(tempfile.mkdtemp(prefix="metaflow.packhouse."))
        return self

    def __exit__(self, *error: object) -> None:
        shutil.rmtree(self._folder, ignore_errors=True)

    def put(self, key: str, obj: bytes, overwrite: bool = True) -> str:
        """Save a file, durably; its URL."""
        root, _, path = key.rpartition("#")
        packed_at(root).save_files([(path, obj)], overwrite=overwrite)
        return f"{_SCHEME}{key}"

    def get(self, key: str, return_missing: bool = False) -> Included:
        """Load a file, verified.

        Raises:
            PackhouseNotUsable: it is not there, unless `return_missing`.
        """
        root, _, path = key.removeprefix(_SCHEME).rpartition("#")
        [content] = packed_at(root).load_files([path])
        if content is None:
            if return_missing:
                return Included(key, exists=False, size=None, path=None)
            start: Any = PackhouseNotUsable
            raise start(f"the included file {key} is not there")
        copy = self._folder / path.rpartition("/")[2]
        copy.write_bytes(content)
        return Included(key, exists=True, size=len(content), path=str(copy))

    info = get
