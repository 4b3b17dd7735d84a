"""`--datastore packhouse`: Metaflow's storage interface on a packhouse store. Imported only where Metaflow is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from metaflow.datastore.datastore_storage import CloseAfterUse, DataStoreStorage
from metaflow.exception import MetaflowException
from metaflow.metaflow_config_funcs import from_conf

if TYPE_CHECKING:
    from packhouse.compat.metaflow.packed.store import PackedStore

__all__ = ["PackhouseNotUsable", "PackhouseStorage", "packed_at"]

_FOLDER = ".packhouse"
_CARDS, _PACKAGES = "mf.cards", "conda"
_KEPT_PACKAGES = "mf.conda"  # "conda" may be a flow


class PackhouseNotUsable(MetaflowException):
    """The datastore was asked for where it cannot work."""

    headline = "--datastore packhouse cannot be used"


def packed_at(root: str) -> PackedStore:
    """Return the store at a root; what it is made of is imported when it is used, not by every `import metaflow`."""
    from packhouse.compat.metaflow.packed.store import PackedStore  # noqa: PLC0415 - see above

    return PackedStore(root)


_stock: Any = DataStoreStorage
_configured: Any = from_conf


class PackhouseStorage(_stock):  # type: ignore[misc]  # Metaflow's class has no types
    """Task records, logs, cards and blobs in one packhouse store, its root. The methods are those of Metaflow's class.

    Raises:
        PackhouseNotUsable: the drop-in is switched off, so that blobs would go into gzip files.
    """

    TYPE = "packhouse"

    def __init__(self, root: str | None = None) -> None:
        super().__init__(root)
        from metaflow.datastore.content_addressed_store import ContentAddressedStore  # noqa: PLC0415 - a circle

        if not getattr(ContentAddressedStore, "keeps_packs", False):
            start: Any = PackhouseNotUsable
            raise start("packhouse-metaflow is switched off (METAFLOW_PACKHOUSE): switch it on, or use another type")

    @classmethod
    def get_datastore_root_from_config(cls, echo: Callable[..., Any], create_on_absent: bool = True) -> str | None:
        """Return `.packhouse` in METAFLOW_DATASTORE_SYSROOT_PACKHOUSE, else the one in or above the working folder."""
        configured = _configured("DATASTORE_SYSROOT_PACKHOUSE")
        if configured is not None:
            return f"{configured.rstrip('/')}/{_FOLDER}"
        here = Path.cwd().resolve()
        for folder in (here, *here.parents):
            if (folder / _FOLDER).is_dir():
                return str(folder / _FOLDER)
        if not create_on_absent:
            return None
        echo(f"Creating packhouse datastore in current directory ({here / _FOLDER})")
        return str(here / _FOLDER)

    @classmethod
    def get_datastore_root_from_location(cls, path: str, flow_name: str) -> str:
        """Return the store of a URI `root#key`, which names no flow."""
        del flow_name
        return path.rpartition("#")[0]

    @property
    def packed(self) -> PackedStore:
        """The store."""
        return packed_at(self._place("")[0])

    def is_file(self, paths: Iterable[str]) -> list[bool]:
        """Tell which files are there."""
        return self.packed.exist([self._place(path)[1] for path in paths])

    def info_file(self, path: str) -> tuple[bool, None]:
        """Tell whether a file is there; there is no metadata beside it."""
        return self.is_file([path])[0], None

    def size_file(self, path: str) -> int | None:
        """Tell the bytes of a file; None when it is not there."""
        return self.packed.size(self._place(path)[1])

    def list_content(self, paths: Iterable[str]) -> list[Any]:
        """List folders: one level, what is missing has nothing."""
        result: Any = self.list_content_result
        found = []
        for path in paths:
            inside = self._place(path)[1]
            before = len(inside) - len(path)
            found += [result(path=one.path[before:], is_file=one.is_file) for one in self.packed.list(inside)]
        return found

    def save_bytes(
        self, path_and_bytes_iter: Iterable[tuple[str, Any]], overwrite: bool = False, len_hint: int = 0
    ) -> None:
        """Save files: documents of a task, logs, cards and packages, not blobs. Durable on return.

        Those of a task together; cards and packages, which may be large, one by one, and read only when they are saved.
        """
        del len_hint  # they are few
        files = []
        for path, content in path_and_bytes_iter:
            file: IO[bytes] = content[0] if isinstance(content, tuple) else content
            inside = self._place(path)[1]
            if inside == path:
                files.append((path, file.read()))
            elif overwrite or not self.packed.exist([inside])[0]:
                self.packed.save_files([(inside, file.read())], overwrite=overwrite)
        self.packed.save_files(files, overwrite=overwrite)

    def load_bytes(self, keys: Iterable[str]) -> Any:
        """Load files: rows of path, local file and None, to be used in a `with`."""
        paths = list(keys)
        contents = self.packed.load_files([self._place(path)[1] for path in paths])
        folder = Path(tempfile.mkdtemp(prefix="metaflow.packhouse."))

        class Closer:
            def close(self) -> None:
                shutil.rmtree(folder, ignore_errors=True)

        def rows() -> Iterator[tuple[str, str | None, None]]:
            for number, (path, content) in enumerate(zip(paths, contents, strict=True)):
                local = folder / str(number)
                if content is not None:
                    local.write_bytes(content)
                yield path, None if content is None else str(local), None

        close: Any = CloseAfterUse
        return close(rows(), closer=Closer())

    def _place(self, path: str) -> tuple[str, str]:
        """Return the store, and the path in it: what Metaflow gives a root of its own, below ours, is in the same."""
        root = str(self.datastore_root)
        store, last = os.path.split(root)
        if last == _CARDS:
            return store, f"{_CARDS}/{path}"
        if last == _PACKAGES and store.endswith(_FOLDER):
            return store, f"{_KEPT_PACKAGES}/{path}"
        return root, path
