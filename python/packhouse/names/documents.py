"""What is kept under a name, and how it becomes bytes."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from packhouse._engine import count_keys
from packhouse.blobs.records import check_key
from packhouse.errors import CorruptBlob, InvalidInput

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Document", "NamedDocument", "check_name", "check_names", "decode", "encode", "encode_refs"]

_OPTIONS = orjson.OPT_SORT_KEYS


class NamedDocument(NamedTuple):
    """A document as it was read."""

    doc: Any
    """What was put: anything that is JSON."""
    version: str
    """Which write it is: opaque, never used again."""
    refs: tuple[str, ...]
    """The keys of the blobs it keeps alive."""


class Document(NamedTuple):
    """A document to write, for the batch forms."""

    name: str
    """Any text of at most 700 bytes in UTF-8."""
    doc: Any
    """Anything that is JSON."""
    refs: tuple[str, ...] = ()
    """The keys of the blobs it keeps alive."""
    version: str | None = None
    """For `replace_many`: the version it replaces."""


def check_name(name: object) -> str:
    """Return the name; its length is checked by the engine.

    Raises:
        InvalidInput: it is no `str`, or one that UTF-8 cannot say.
    """
    if not isinstance(name, str):
        raise InvalidInput(f"a name is a str, not {type(name).__qualname__}", kind="name")
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(f"a name is text in UTF-8, which {name!r} cannot be", kind="name") from error
    return name


def check_names(names: Iterable[str]) -> list[str]:
    """Return the names as a list.

    Raises:
        InvalidInput: one of them is no name, or it is one name instead of many.
    """
    if isinstance(names, str):
        raise InvalidInput(f"names is an iterable of names, not one str: {names!r}", kind="name")
    return [check_name(name) for name in names]


def encode(name: str, doc: object) -> bytes:
    """Write a document as JSON.

    Raises:
        InvalidInput: it is not JSON.
    """
    try:
        encoded = orjson.dumps(doc, option=_OPTIONS)
        if b"null" in encoded:  # which orjson makes of NaN and infinity, too
            json.dumps(doc, allow_nan=False, default=_opened)
    except (orjson.JSONEncodeError, ValueError) as error:
        raise InvalidInput(f"the document of {name!r} is not JSON: {error}", kind="document") from error
    return encoded


def _opened(value: object) -> object:
    """Show what numbers are in a value that orjson knows and `json` does not; dates and the like have none."""
    if isinstance(value, Enum):
        return value.value
    if is_dataclass(value):
        names = vars(value) if hasattr(value, "__dict__") else [field.name for field in fields(value)]
        return [getattr(value, name) for name in names if not name.startswith("_")]
    return None


def decode(name: str, doc: bytes) -> Any:
    """Read a document whose bytes the engine has verified.

    Raises:
        CorruptBlob: it is not JSON.
    """
    try:
        return orjson.loads(doc)
    except orjson.JSONDecodeError as error:
        raise CorruptBlob(f"the document of {name!r} is not JSON: {error}", kind="envelope") from error


def encode_refs(refs: Iterable[str]) -> list[str]:
    """Return the keys as a list.

    Raises:
        InvalidInput: one of them is no key.
    """
    if isinstance(refs, str):
        raise InvalidInput("refs is an iterable of keys, not one str", kind="not-a-key")
    given = list(refs)
    for ref in given[count_keys(given) :]:
        check_key(ref)
    return given
