"""The same gzip files for storage that is no folder: bytes in, bytes out."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from packhouse._engine import Cancel, GzipFound, gzip_keys, gzip_pack
from packhouse.compat.metaflow.folder import Read, read_windows
from packhouse.compat.metaflow.groups import groups

if TYPE_CHECKING:
    from typing_extensions import Buffer

__all__ = ["Packed", "is_key", "pack_missing", "unpack"]

_KEY = re.compile(r"[0-9a-f]{40}\Z")


class Packed(NamedTuple):
    """A blob's key and its gzip file; None where the storage's own is kept."""

    key: str
    file: bytes | None


def is_key(text: str) -> bool:
    """Whether a key is a SHA-1, so that its content can be verified."""
    return _KEY.match(text) is not None


def pack_missing(blobs: Iterable[Buffer], keep: Callable[[Mapping[str, int]], Collection[str]]) -> Iterator[Packed]:
    """Pack the blobs that a storage does not have yet, on all cores.

    Args:
        blobs: bytes-like objects, taken lazily, about 16 MiB at a time.
        keep: told keys and their blobs' lengths, says which of them are there and stay as they are.

    Yields:
        Each blob's key, in order, with its file the first time that a missing one comes.
    """
    cancel = Cancel()
    seen: set[str] = set()
    for group in groups(blobs):
        keys = gzip_keys(group, cancel)
        new = {key: blob for key, blob in zip(keys, group, strict=True) if key not in seen}
        seen.update(new)
        kept = keep({key: memoryview(blob).nbytes for key, blob in new.items()}) if new else ()
        missing = {key: blob for key, blob in new.items() if key not in kept}
        files = dict(zip(missing, gzip_pack(list(missing.values()), cancel), strict=True))
        for key in keys:
            yield Packed(key, files.pop(key, None))


def unpack(files: list[tuple[str, bytes]]) -> Iterator[Read]:
    """Unpack files that were read elsewhere, verified.

    Args:
        files: keys of 40 hex digits, each with its file's bytes; taken out of the list, so that they are held once.
    """
    cancel = Cancel()
    keys = [key for key, _ in files]
    found = GzipFound.of_bytes(keys, [file for _, file in files])
    files.clear()
    yield from read_windows(found, keys, cancel)
