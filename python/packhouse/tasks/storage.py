"""Where datastores keep things: what `storage_impl` is without another choice."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

from packhouse.blobs.store import BlobStore
from packhouse.errors import InvalidInput

if TYPE_CHECKING:
    from types import TracebackType

    from packhouse.blobs.options import StoreOptions
    from packhouse.objects.bucket import BucketOptions

__all__ = ["PackhouseStorage"]

_VARIABLE = "PACKHOUSE_ROOT"
_DEFAULT = ".packhouse"
_FOLDER = "packhouse"


class PackhouseStorage:
    """A packhouse store as the storage of datastores.

    Args:
        root: a path or any URL that `packhouse.open` takes, or a store that is open already and stays so. None for
            `$PACKHOUSE_ROOT`, and without that `.packhouse` in the working directory.

    Attributes:
        TYPE: recorded with each task.
        options: how stores are opened; set it in a subclass.
    """

    TYPE: ClassVar[str] = "packhouse"
    options: ClassVar[StoreOptions | BucketOptions | None] = None

    def __init__(self, root: str | os.PathLike[str] | BlobStore | None = None) -> None:
        self._is_ours = not isinstance(root, BlobStore)
        if isinstance(root, BlobStore):
            self.store = root
        else:
            where = root if root is not None else os.environ.get(_VARIABLE) or _DEFAULT
            if "://" not in os.fspath(where):
                where = os.path.abspath(where)  # noqa: PTH100 - the text that URIs begin with, not a look at the disk
            self.store = BlobStore(where, options=self.options)

    @property
    def datastore_root(self) -> str:
        """The URL of the store."""
        return self.store.url

    @property
    def url(self) -> str:
        """The URL of the store."""
        return self.store.url

    async def __aenter__(self) -> Self:
        if self._is_ours:
            await self.store.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_ours:
            await self.store.__aexit__(kind, error, traceback)


def make_storage(storage_impl: object, ds_root: object) -> PackhouseStorage:
    """Call the class with the root.

    Raises:
        InvalidInput: it is no class, or it makes something that datastores cannot keep things in.
    """
    if not callable(storage_impl):
        raise InvalidInput(f"storage_impl is a class that is called with ds_root, not {storage_impl!r}", kind="option")
    storage: Any = storage_impl(ds_root)
    if isinstance(storage, PackhouseStorage):
        return storage
    if not hasattr(storage, "datastore_root") or not hasattr(storage, "save_bytes"):
        raise InvalidInput(f"storage_impl {storage_impl!r} is no storage of datastores", kind="option")
    kinds = (kind for kind in type(storage).__mro__ if "save_bytes" in vars(kind) or "load_bytes" in vars(kind))
    own = next(kinds, type(storage))
    if own.__module__.partition(".")[0] not in ("metaflow", "metaflow_extensions"):
        raise InvalidInput(
            f"storage_impl {own.__qualname__} reads or writes files in a way of its own, and of Metaflow's storage "
            "classes only the root is used: derive from packhouse.tasks.PackhouseStorage",
            kind="option",
        )
    return PackhouseStorage(_beside(storage))


def _beside(storage: Any) -> str:
    """Tell where the store of one of Metaflow's storages is: a folder of ours in its root.

    The class says where the root is. What it writes by itself is a file per name, without compare-and-swap and without
    a sync; the state of a task needs both.
    """
    root = storage.datastore_root
    if root is None:
        from_config = getattr(storage, "get_datastore_root_from_config", None)
        root = None if from_config is None else from_config(lambda *_, **__: None)
    if not isinstance(root, str) or not root:
        raise InvalidInput(f"storage_impl {type(storage).__qualname__} has no root: pass ds_root", kind="option")
    if getattr(storage, "TYPE", None) == "azure" and "://" not in root:
        root = f"az://{_account()}/{root}"
    return f"{root.rstrip('/')}/{_FOLDER}"


def _account() -> str:
    """Tell the account of Metaflow's Azure storage, whose root begins with the container."""
    config = sys.modules.get("metaflow.metaflow_config")
    endpoint = getattr(config, "AZURE_STORAGE_BLOB_SERVICE_ENDPOINT", None) or ""
    account, blob, _ = (urlsplit(endpoint).hostname or "").partition(".blob.")
    if not account or not blob:
        raise InvalidInput(
            f"the account is not in METAFLOW_AZURE_STORAGE_BLOB_SERVICE_ENDPOINT ({endpoint[:80]!a}), which is "
            "https://ACCOUNT.blob.core.windows.net: set it, or pass ds_root as az://account/container/prefix without "
            "storage_impl",
            kind="option",
        )
    return account
