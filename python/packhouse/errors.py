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
        return type(self), self.args, {**vars(self), "errno": self.errno}


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
    """A write was issued, but whether it had its effect, durably, cannot be known.

    Of a batch ask `store.committed(batch_id)` later; saving the same blobs again is always safe. What became of a name
    tells reading it.

    Attributes:
        batch_id: the batch, 32 lower-case hex digits; empty where it was a name, or an object, that was written.
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


# One line per kind: its name, what happened, what to do; below the class that carries it.
_TABLE = """
BlobNotFound
  blob-not-found | No index entry knows the key. | Check the key; save the blob.
  pack | The pack that a locator names is gone, and the index knows no other. | Load by the key alone.
  ref-not-found | A document's `refs` name a blob that is not stored; nothing was written. | Save the blob first.
CorruptBlob
  batch-record | A batch's record in the index is damaged. | Run `packhouse verify`; save the blobs again.
  blob | A large blob's sound chunks together are not what the key says. | Save the blob again.
  blob-entry | The index entry of a large blob is damaged. | Save the blob again.
  chunk | A chunk's bytes are not what its digest says, and no other copy is sound. | Save the blob again.
  condemned | Packs were condemned faster than a commit could copy out of them. | Save again when the collector is done.
  damage-name | A file in `damage/` has no name of a damage note. | Remove the file if it is not the store's.
  entry | An index entry is damaged. | Run `packhouse verify`; save the blob again.
  envelope | The file of a named document is damaged, or what it holds is not JSON. | Put the document again.
  frame | A frame's header and its index entry do not agree. | Save the blob again.
  frame-header | The header of a stored chunk is damaged. | Save the blob again.
  frame-payload | The stored bytes of a chunk do not match their checksum. | Save the blob again.
  gzip-file | The content of a gzip file does not have the SHA-1 that is its name. | Save the blob again.
  index | A part of the index cannot be read, and the key is found nowhere else. | Run `packhouse verify`.
  internal | An invariant of the engine does not hold. | Please report it: this is a bug.
  locator | A locator does not hold together. | Load by the key alone.
  mark | A file in `marks/` is no mark. | Remove the file if it is not the store's.
  missing-chunk | A chunk of a large blob is found nowhere. | Save the blob again.
  missing-pack | The index names a pack that is not there. | Restore the file, or save the blobs again.
  pack-footer | The list at the end of a pack is damaged. | Run `packhouse verify`; save the blobs again.
  pack-header | The header of a pack is damaged. | Run `packhouse verify`; save the blobs again.
  pack-length | A pack has another length than the index says. | Restore the file, or save the blobs again.
  pack-name | A file in `packs/` has no name of a pack. | Remove the file if it is not the store's.
  pack-row | A row of the index's table of packs is damaged. | Run `packhouse verify`.
  pack-trailer | The end of a pack is damaged. | Run `packhouse verify`; save the blobs again.
  payload | A chunk does not decompress to what its header says. | Save the blob again.
  pin | A pin in the index is damaged. | Run `packhouse verify`.
  recipe | The recipe of a large blob does not hold together. | Save the blob again.
  recipe-node | A part of a large blob's recipe is damaged. | Save the blob again.
  scratch | A temporary file of a batch came back changed; nothing is visible. | Check the disk; save again.
  segment | A segment of the index does not hold together. | Run `packhouse verify`; save the blobs again.
  segment-block | A block of the index is damaged. | Run `packhouse verify`; save the blobs again.
  segment-name | A file in `index/` has no name of a segment. | Remove the file if it is not the store's.
  segment-trailer | The end of a segment is damaged or cut off. | Run `packhouse verify`; save the blobs again.
  settings | `store.json` is damaged. | Restore the file from a copy: without it the store cannot be read.
  tree | The blob is no manifest of a folder, or one that would leave the folder. | Use a key from `save_tree`.
  truncated | A file of the store ends too early. | Restore the file, or save the blobs again.
CommitUncertain
  put-uncertain | The answer to a conditional write of an object was lost. | Read the object and decide anew.
  after-publish | Publishing the commit was issued, then something failed. | Ask `committed(batch_id)`, or save again.
  commit-uncertain | The commit was issued and its outcome is not known. | Ask `committed(batch_id)`, or save again.
  name-uncertain | A document was written; it, or a blob it names, may be lost. | Read it, and put it again if need be.
  refs-lost | A document was written, but a blob that it names went meanwhile. | Save the blob, put the document again.
InvalidInput
  artifact-name | The name of an artifact is no text that UTF-8 can say. | Name it by a `str`.
  attempt | Not the number of an attempt. | Attempts are 0 to 5.
  plain-http | Plain http to another host. | Use https, or ask for it by `plain_http=True`.
  batch | The batch is committed or withdrawn already. | Begin another.
  batch-id | Not the id of a batch: 32 lower-case hex digits. | Use the `batch_id` of a `CommitUncertain`.
  buffer | A buffer that is read-only, not contiguous or too small. | Hand in a writable one of the blob's size.
  chunk-sizes | Chunk sizes that cannot be. | Choose an average between 256 bytes and 2 MiB.
  document | A document that is not JSON. | Hand in what JSON can say: dicts, lists, text, numbers.
  encoding | The bytes of an artifact are not of the form that its record says. | Save it again.
  empty-document | A document without a byte. | Put one of at least a byte.
  empty-recipe | A recipe without chunks was asked for. | Please report it: this is a bug.
  invalid | An argument that cannot be used. | The message says which and why.
  item-type | An item that cannot be saved, or no iterable of items. | The message says which item: convert it.
  level | A compression level that zstd does not have. | Choose one between 1 and 19.
  name | A document's name that is empty, too long or no text. | Use text of 1 to 700 bytes in UTF-8.
  not-ready | A task's datastore was asked before its record was read. | `await datastore.ready()` first.
  no-stream | A piece for a blob that is not being written. | Please report it: this is a bug.
  object-large | An object of more than 64 MiB in a bucket was read without a length. | Name its length, or read ranges.
  object-name | An object's name that could break a client or a file system. | Use the names that packhouse makes.
  object-range | A range that is not wholly within an object. | Ask `head(name)` for its size first.
  object-size | A stream had another size than it said. | Say its true size, or none.
  not-a-key | Not a key: a `str` of 64 lower-case hex digits. | Use the `key` of a `SavedBlob`, or what `b3sum` prints.
  open-stream | A batch was committed while a blob of it was still being written. | Please report it: this is a bug.
  option | An option that cannot be. | The message says which and why.
  other-loop | A store was used on another event loop than the one that opened it. | Open another handle there.
  own-thread | A sync store was called from its own thread, by a callback for instance. | Call it from another thread.
  random | The operating system has no random bytes to give. | Look at the machine: this should not happen.
  range | A range or position that is not within the blob. | Ask `size(key)` first.
  stream | A stream that the batch does not have. | Please report it: this is a bug.
  task | Not the name of a flow, run, step or task, or no pathspec. | Use text without `/`, joined by `/`.
  task-done | A task was written to after `done()`. | Begin another attempt.
  task-mode | A method that the mode of a task's datastore does not allow. | Open the task in the mode it needs.
  too-large | More than the format can hold. | Split it; the message says what is too large.
  tree-item | Something in a folder that is neither file, folder nor link. | Remove it.
  unpicklable | An artifact cannot be pickled. | The message names it and says why.
  untrusted | A pickle was to be loaded where pickles are refused. | `trust="pickle"`, if you trust all writers.
  url | A URL that this version cannot open. | Use a path, `file:///path`, `s3://…`, `gs://…`, `az://…` or `memory://`.
  version | Not the version of a document. | Use what `get` or `put` returned.
StoreNotFound
  no-bucket | There is no such bucket. | Create it, or check its name and the endpoint.
  no-store | There is no store here, and none was to be made. | Check the path; open it with `create=True`.
  not-a-store | What is here is no store. | Check the path.
  not-empty | A store was to be made in a folder that holds other things. | Choose an empty folder.
UnsupportedStore
  conditional-writes | The service has no conditional writes. | Use another, or no names.
  list-after-put | The service does not list what was just put. | Use another, or none of its caches.
  not-implemented | The service does not implement it. | Use another service.
  announcement | The store announces a change that this version does not know. | Write to it with a newer version.
  cipher | What is stored is encrypted, which this version cannot read. | Use a newer version.
  codec | What is stored is compressed in a way that this version does not know. | Use a newer version.
  dictionary | What is stored needs a dictionary, which this version cannot use. | Use a newer version.
  group | What is stored has its bytes grouped in a way that this version does not know. | Use a newer version.
  newer-format | The store is of a newer format. | Use a newer version.
  serializer | No serializer here reads an artifact's encoding. | Register the one that wrote it.
  shared-file-system | The folder is on a network or user-space file system. | Use a local disk, or `shared=True`.
  reader-feature | Reading the store needs a feature that this version lacks. | Use a newer version.
  unsupported | The store needs something that this version lacks. | Use a newer version.
  writer-feature | Writing to the store needs a feature that this version lacks. | Use a newer version, or `mode="r"`.
ReadOnlyStore
  failed-sync | A sync failed, so this handle writes no more. | Look at the disk; then open the store anew.
  mode | The store was opened for reading. | Open it with `mode="a"`.
  read-only | The store takes no writes. | The message says why.
NameNotFound
  object-not-found | No object has this name. | Check the name and the prefix.
  no-artifact | A task has no artifact of this name. | Its `artifacts()` tells which there are.
  no-attempt | No attempt of the task has begun, or its latest is not done. | Wait for it; `allow_not_done=True`.
  no-log | A task has no log of this source and stream. | The message tells which there are.
  no-record | An attempt is done, and its record is gone. | Find out who deleted names; run the task again.
  name-not-found | No document has this name. | Check the name; `names.list(prefix)` tells which there are.
NameConflict
  object-conflict | An object is not the version it was thought to be. | Read it again and decide anew.
  name-conflict | The document changed, came into being or was deleted meanwhile. | Read it again and decide anew.
StorageError
  access-denied | The service denies access. | Check the bucket's policy and the rights of the credentials.
  archived | The object is in an archive class. | Restore it; keep packs out of archive classes.
  bad-answer | An answer that cannot be used: cut, encoded, of another range, not what was asked. | Check the endpoint.
  bad-credentials | Credentials are missing, wrong or expired. | Set or renew them.
  certificate | The service's certificate is not trusted. | Name its authority by `ca`.
  client-failed | The HTTP client failed, not the network. | Check the client that was handed in: it may be closed.
  clock-skew | This machine's clock is wrong. | Set it.
  connection-lost | The connection was lost before an answer. | Try again.
  damaged-in-transit | The service received other bytes than were sent. | Try again.
  deadline | There was no answer in time. | Try again, or raise the deadline.
  no-network | There is no connection to the service. | Check the endpoint and the network.
  redirected | The service sends us elsewhere, which is not followed. | Check the endpoint.
  refused | The service refuses. | Look its code up in its documentation.
  service-failed | The service failed. | Try again later.
  throttled | The service asks for less load. | Try again later.
  wrong-region | The bucket is in another region. | Set `region`.
  disk-full | The disk is full. | Make room; nothing of the batch is visible.
  file-too-large | A file would grow beyond a limit of the process or the file system. | Raise the limit.
  io | The operating system refused. | `errno` and the message say why.
  lock-timeout | Another process held the lock of a name for too long. | Try again; look for a process that hangs.
  missing-file | A file of the store vanished. | Find out who removes files from the store.
  permission | The operating system refused permission. | Check owner and mode of the store's folder.
  quota | The quota is used up. | Make room, or raise the quota.
  read-only-file-system | The file system is mounted read-only. | Open the store with `mode="r"`, or mount it writable.
  source-changed | A file changed while it was read. | Save it again when nobody writes to it.
  source-missing | A file to be saved is not there. | Check the path.
  source-unreadable | A file to be saved cannot be read. | `errno` and the message say why.
  target-exists | A file to be restored is there already. | Restore into an empty folder.
  target-unwritable | A file to be restored cannot be written. | `errno` and the message say why.
StoreClosed
  closed | The handle is not open, or was closed meanwhile. | Use it within `async with packhouse.open(...)`.
  forked | The handle was inherited by a forked process. | Open the store anew in the child.
PackhouseError
  interrupted | A command was interrupted, by Ctrl-C for instance. | What was printed is durable; run it again.
  cancelled | Native work was stopped. | None: the caller's own cancellation is what is raised.
"""


def _read_table() -> dict[str, KindEntry]:
    kinds: dict[str, KindEntry] = {}
    error: type[PackhouseError] = PackhouseError
    for line in _TABLE.strip().splitlines():
        if not line.startswith(" "):
            error = globals()[line]
            continue
        kind, cause, remedy = line.strip().split(" | ")
        kinds[kind] = KindEntry(error, cause, remedy)
    return kinds


KINDS: dict[str, KindEntry] = _read_table()
"""Every cause by its `kind`."""
