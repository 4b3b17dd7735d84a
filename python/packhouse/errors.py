"""What packhouse raises: one tree, told apart by class and, more finely, by `kind`.

```
PackhouseError                the root: catch it to catch everything of ours
├── BlobNotFound              KeyError          no index entry knows the key
├── CorruptBlob               OSError           stored bytes are not what their key says, and no other copy is
├── CommitUncertain           OSError           the commit was issued, its outcome cannot be known now: `batch_id`
├── InvalidInput              ValueError, TypeError   an argument that cannot be used
├── StoreNotFound             FileNotFoundError no store there, or not one that can be opened as asked
├── UnsupportedStore          NotImplementedError     a newer format, or a feature this version lacks
├── ReadOnlyStore             PermissionError   a write to a store that is read, or that refuses after a failed sync
├── NameNotFound              KeyError          no document has the name
├── NameConflict              RuntimeError      the document changed, or came into being, meanwhile
├── StorageError              OSError           the operating system refused: `errno`
└── StoreClosed               RuntimeError      the handle is not open, was closed meanwhile, or was forked
```

Classes say what a caller can do about it; `kind` says what happened, is stable and machine-readable, and is one of
`KINDS`. Messages name the operation and what it was done to.
"""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = [
    "KINDS",
    "BlobNotFound",
    "CommitUncertain",
    "CorruptBlob",
    "InvalidInput",
    "KindEntry",
    "NameConflict",
    "NameNotFound",
    "PackhouseError",
    "ReadOnlyStore",
    "StorageError",
    "StoreClosed",
    "StoreNotFound",
    "UnsupportedStore",
]


class PackhouseError(Exception):
    """The root of everything packhouse raises on its own account.

    Args:
        message: a lower-case sentence that names the operation and what it was done to.
        kind: the stable name of the cause, one of `KINDS`; the class's own default otherwise.
        errno: the operating system's number, where a system call failed.
    """

    default_kind: str = "internal"
    kind: str
    errno: int | None

    def __init__(self, message: str = "", *, kind: str | None = None, errno: int | None = None) -> None:
        super().__init__(message)
        self.kind = kind or self.default_kind
        self.errno = errno

    def __str__(self) -> str:
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self.args, vars(self)


class BlobNotFound(PackhouseError, KeyError):
    """No blob has this key.

    Attributes:
        keys: what was looked for and is missing, as far as it is known by now.
    """

    default_kind = "blob-not-found"
    keys: tuple[str, ...] = ()


class CorruptBlob(PackhouseError, OSError):
    """What is stored does not verify, and no other copy of it does. Saving the blob again heals it."""

    default_kind = "chunk"


class CommitUncertain(PackhouseError, OSError):
    """The commit was issued, but whether it is durable cannot be known: ask `store.committed(batch_id)` later.

    Saving the same blobs again is always safe.

    Attributes:
        batch_id: the batch, 32 lower-case hex digits.
    """

    default_kind = "commit-uncertain"
    batch_id: str = ""


class InvalidInput(PackhouseError, ValueError, TypeError):
    """An argument that cannot be used: of the wrong type, not a key, out of range.

    It is a `ValueError` and a `TypeError`, because an item of the wrong type is found where its value is.
    """

    default_kind = "invalid"


class StoreNotFound(PackhouseError, FileNotFoundError):
    """There is no store here, or it cannot be opened as asked."""

    default_kind = "not-a-store"


class UnsupportedStore(PackhouseError, NotImplementedError):
    """The store is of a newer format, or needs a feature that this version lacks."""

    default_kind = "unsupported"


class ReadOnlyStore(PackhouseError, PermissionError):
    """A write to a store that was opened for reading, or that refuses writes since a sync failed."""

    default_kind = "read-only"


class NameNotFound(PackhouseError, KeyError):
    """No document has this name."""

    default_kind = "name-not-found"


class NameConflict(PackhouseError, RuntimeError):
    """The document is not what the caller thought: changed, made or deleted meanwhile."""

    default_kind = "name-conflict"


class StorageError(PackhouseError, OSError):
    """The operating system refused: `errno` says why, and `kind` names the usual reasons."""

    default_kind = "io"


class StoreClosed(PackhouseError, RuntimeError):
    """The handle is not open: never opened, closed meanwhile, or inherited by a forked process."""

    default_kind = "closed"


class KindEntry(NamedTuple):
    """One cause: the class that carries it, what happened, and what to do."""

    error: type[PackhouseError]
    cause: str
    remedy: str


KINDS: dict[str, KindEntry] = {}
