r"""What a saved folder looks like as a blob.

The manifest is text: a first line `packhouse-tree 1`, then one JSON object per line, a folder before what is in it, the
names in a folder in the order of their bytes:

    {"path":"a","type":"dir","mode":493}
    {"path":"a/b.bin","type":"file","mode":420,"size":10,"key":"<64 hex>"}
    {"path":"a/link","type":"link","target":"b.bin"}

There are no locators in it, so that equal folders have equal keys. A path or target that is not UTF-8 stands as base64
of its bytes under `path_b64` or `target_b64`. Whoever follows references (a collector, a copy) reads the `key`s of a
blob that begins with the first line: a stranger's blob that looks the same can only keep more alive, never less.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from packhouse.blobs.records import check_key
from packhouse.errors import CorruptBlob, InvalidInput

__all__ = ["HEADER", "Entry", "check_order", "decode_entry", "encode_entry"]

HEADER = b"packhouse-tree 1\n"

_MODE_BITS = 0o7777


@dataclass(frozen=True, slots=True)
class Entry:
    """One file, folder or symbolic link.

    Attributes:
        parts: the path below the tree's root, each part as `os.fsdecode` gives it.
        kind: what it is.
        mode: permission bits; 0 for links.
        blob: the key of a file's content.
        size: bytes of a file.
        target: what a link says.
    """

    parts: tuple[str, ...]
    kind: Literal["dir", "file", "link"]
    mode: int = 0
    blob: str | None = None
    size: int = 0
    target: str = ""


def encode_entry(entry: Entry) -> bytes:
    """Write one line."""
    line: dict[str, Any] = _text("path", "/".join(entry.parts))
    line["type"] = entry.kind
    if entry.kind != "link":
        line["mode"] = entry.mode
    if entry.blob is not None:
        line["size"] = entry.size
        line["key"] = entry.blob
    if entry.kind == "link":
        line |= _text("target", entry.target)
    return orjson.dumps(line) + b"\n"


def decode_entry(line: bytes, key: str) -> Entry:
    """Read one line of a manifest that anybody may have made.

    Raises:
        CorruptBlob: it is no entry, or its path would leave the folder (kind `tree`).
    """
    try:
        fields = orjson.loads(line)
        parts = tuple(_read_text(fields, "path").split("/"))
        kind = fields["type"]
        if any(part in ("", ".", "..") or "\0" in part for part in parts):
            raise ValueError("its path would leave the folder")  # noqa: TRY301 - told as all else that is wrong
        mode = fields.get("mode", 0)
        if not isinstance(mode, int) or not 0 <= mode <= _MODE_BITS:
            raise TypeError("its mode is none")  # noqa: TRY301 - as above
        if kind == "dir":
            return Entry(parts, "dir", mode)
        if kind == "link":
            target = _read_text(fields, "target")
            if not target or "\0" in target:
                raise ValueError("its target is none")  # noqa: TRY301 - as above
            return Entry(parts, "link", target=target)
        if kind == "file":
            size = fields["size"]
            if not isinstance(size, int) or size < 0:
                raise TypeError("its size is none")  # noqa: TRY301 - as above
            return Entry(parts, "file", mode, check_key(fields["key"]), size)
        raise ValueError("its type is unknown")  # noqa: TRY301 - as above
    except (ValueError, TypeError, KeyError, AttributeError, InvalidInput) as error:
        message = f"the blob {key} is no tree: {line[:80]!r} cannot be used: {error}"
        raise CorruptBlob(message, kind="tree") from error


def check_order(before: Entry, entry: Entry, key: str) -> None:
    """Check that an entry may stand in the line after another one's.

    In the order of a manifest what is below a path comes right behind it, so that one entry tells of all before it.

    Raises:
        CorruptBlob: it is below a file or a link, stands there twice, or is out of order (kind `tree`).
    """
    above = len(before.parts)
    if before.kind != "dir" and len(entry.parts) > above and entry.parts[:above] == before.parts:
        wrong = f"is below a {before.kind}"
    elif _rank(entry) <= _rank(before):
        wrong = f"does not come after {'/'.join(before.parts)!r} in the order of a manifest"
    else:
        return
    raise CorruptBlob(f"the blob {key} is no tree: {'/'.join(entry.parts)!r} {wrong}", kind="tree")


def _rank(entry: Entry) -> list[bytes]:
    return [os.fsencode(part) for part in entry.parts]


def _text(name: str, text: str) -> dict[str, Any]:
    raw = os.fsencode(text)
    try:
        return {name: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {f"{name}_b64": base64.b64encode(raw).decode("ascii")}


def _read_text(fields: dict[str, Any], name: str) -> str:
    if name in fields:
        text = fields[name]
        if not isinstance(text, str):
            raise TypeError(f"its {name} is no text")
        return os.fsdecode(text.encode("utf-8"))
    return os.fsdecode(base64.b64decode(fields[f"{name}_b64"], validate=True))
